#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 120
# mount(8), fstab and the helper names. In the guest because the helper must lie in /sbin.
set -u
if [[ ${DMABUFFS_REAL-} != 1 ]]; then
    echo 'skip - writes to /sbin and /etc/fstab: for a guest only'
    exit 77
fi
status=0
check() {
    local name=$1
    shift
    if "$@"; then echo "ok - $name"; else
        echo "not ok - $name"
        status=1
    fi
}
is_mounted() { grep -q " $1 fuse.dmabuffs " /proc/self/mounts; }
not_mounted() { ! is_mounted "$1"; }

ln -sf "$DMABUFFS" /sbin/mount.dmabuffs
ln -sf "$DMABUFFS" /sbin/mount.fuse.dmabuffs
mkdir -p "$T/m" "$T/data"
trap 'umount "$T/m" 2>/dev/null' EXIT
echo hello >"$T/data/file"

check "mount -t dmabuffs mounts" mount -t dmabuffs none "$T/m"
check "it is usable at once" test -d "$T/m/heaps/memfd"
check "umount(8) ends it" umount "$T/m"
check "mount -t fuse.dmabuffs takes options" \
    mount -t fuse.dmabuffs buffers "$T/m" -o "files=data=$T/data,size=64M,noatime"
check "files= shows the directory" cmp "$T/data/file" "$T/m/files/data/file"
check "size= is the size df shows" test "$(df --output=size -B1M "$T/m" | tail -1)" -eq 64
check "the source is the name it is listed under" grep -q "^buffers $T/m fuse.dmabuffs .*noatime" /proc/self/mounts
umount "$T/m"

echo "none $T/m fuse.dmabuffs noauto,nofail,_netdev,x-systemd.automount,size=32M 0 0" >>/etc/fstab
check "an fstab line mounts by its mount point" mount "$T/m"
check "with its options" test "$(df --output=size -B1M "$T/m" | tail -1)" -eq 32
umount "$T/m"
sleep 1
check "umount leaves nothing" not_mounted "$T/m"

if mount -t dmabuffs none "$T/m" -o sise=1G 2>"$T/error"; then
    echo "not ok - a misspelt option is refused"
    status=1
else
    check "a misspelt option is refused by name" grep -q 'sise=1G' "$T/error"
fi
exit $status
