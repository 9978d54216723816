#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# docs/recipes.md, Containers: podman as root and as a user, in a root directory with nothing but busybox and dmabuffs.
# vm: --memory 2048
# guest: debian12
# timeout: 600
source "$(dirname "$0")/common.bash"
# Of itself podman tries overlay, which leaves a directory that it takes for a store the next time: the guest's root is one.
printf '[storage]\ndriver = "vfs"\nrunroot = "/run/containers/storage"\ngraphroot = "/var/lib/containers/storage"\n' \
    >/etc/containers/storage.conf
root=$(mktemp -d /tmp/root.XXXX) share=/run/dmabuffs
chmod 755 "$root"
mkdir -p "$root"/{bin,etc,proc,sys,dev,tmp,run}
cp "$(command -v busybox)" "$root/bin/"
for name in sh head cat ls id sha256sum; do ln -s busybox "$root/bin/$name"; done
cp "$DMABUFFS" "$root/bin/dmabuffs"
ldd "$DMABUFFS" | grep -o '/[^ ]*' | xargs -I{} cp -L --parents {} "$root"
echo 'root:x:0:0::/:/bin/sh' >"$root/etc/passwd"
inside() { # [OPTION...] -- COMMAND...: in a container
    local options=()
    while [[ $1 != -- ]]; do options+=("$1"); shift; done
    shift
    podman --log-level=error run --rm --network=none "${options[@]}" --rootfs "$root" "$@"
}
sum() { sha256sum | cut -d' ' -f1; }

load_module
chmod 666 /dev/dma_heap/system # as its group has it
mkdir -p $share
mnt=$share/buf
mount_it -o allow_other
buffer=$mnt/heaps/system/weights
head -c 300000 /dev/urandom >"$T/weights"
cp "$T/weights" "$buffer"
wanted=$(sum <"$T/weights")

# The mount goes in.
equals 'the mount in a container: the file' "$(inside -v "$share:$share:rslave" -- cat "$buffer" | sum)" "$wanted"
equals 'the mount in a container: what it is' \
    "$(inside -v "$share:$share:rslave" -- dmabuffs info --json "$buffer" | jq -r '.[0].exporter')" system
equals 'the mount in a container: a program is handed the dma-buf by name' \
    "$(inside -v "$share:$share:rslave" -- dmabuffs exec "$buffer" -- cat /proc/self/fdinfo/3 | sed -n 's/^exp_name:\t//p')" system

# The descriptor goes in.
equals 'a descriptor in a container: it is the dma-buf' \
    "$("$DMABUFFS" exec "$buffer" -- podman --log-level=error run --rm --network=none --preserve-fds=1 --rootfs "$root" \
        cat /proc/self/fdinfo/3 | sed -n 's/^exp_name:\t//p')" system
# The same for a user who may do nothing else with it.
useradd --create-home --add-subids-for-system rootless 2>/dev/null || useradd --create-home rootless
chmod 666 /dev/fuse
chown rootless "$buffer"
export root buffer DMABUFFS
as_user() { # COMMAND
    setpriv --reuid rootless --regid "$(id -g rootless)" --clear-groups env HOME=~rootless XDG_RUNTIME_DIR=/tmp/rootless PATH="$PATH" bash -c "cd; $1"
}
install -d -m 700 -o rootless /tmp/rootless
# shellcheck disable=SC2016 # for the user's shell
equals 'rootless: a descriptor in a container is the dma-buf' \
    "$(as_user '"$DMABUFFS" exec "$buffer" -- podman --log-level=error run --rm --network=none --preserve-fds=1 --rootfs "$root" \
        cat /proc/self/fdinfo/3' | sed -n 's/^exp_name:\t//p')" system

# The devices go in: a mount of the container's own.
own='cp /bin/busybox $DMABUFFS_MOUNT/heaps/system/it && sha256sum <$DMABUFFS_MOUNT/heaps/system/it'
equals 'devices in a container: a mount of its own' \
    "$(inside --device /dev/fuse --device /dev/dma_heap/system --cap-add SYS_ADMIN -- dmabuffs exec -- sh -c "$own" | cut -d' ' -f1)" \
    "$(sum <"$root/bin/busybox")"
mkdir -p /etc/cdi
cp "$(dirname "$0")/../../dmabuffs/packaging/cdi.json" /etc/cdi/dmabuffs.json
equals 'devices by CDI: a mount of its own' \
    "$(inside --device dmabuffs/heap=system --cap-add SYS_ADMIN -- dmabuffs exec -- sh -c "$own" | cut -d' ' -f1)" \
    "$(sum <"$root/bin/busybox")"
run inside --device dmabuffs/heap=system --device dmabuffs/heap=udmabuf --device dmabuffs/heap=direct --cap-add SYS_ADMIN -- \
    dmabuffs exec -- sh -c 'ls $DMABUFFS_MOUNT/heaps'
for heap in system udmabuf direct; do says "devices by CDI: $heap" 0 "$heap"; done
run inside --device dmabuffs/heap=nothing -- true
check 'CDI: no such device' test "$status" -ne 0

# What is missing is named inside as it is outside.
run inside -- dmabuffs exec -- true
says 'without devices: the error says what to give' 1 /dev/fuse
pkill -u rootless podman # which keeps the user's namespaces
check 'unmount' unmount_it
exit "$failed"
