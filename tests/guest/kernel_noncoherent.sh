#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Devices that do not look into the CPU's caches, as many of arm64: the kernel writes caches back and drops what is in them
# wherever a device is attached, and the module asks for nothing of it on its own account. An emulated processor has no
# caches: the kernel's calls are counted, and what they do is not seen.
# guest: arm64
# vm: --memory 2048 --scratch 512M
# timeout: 300
source "$(dirname "$0")/common.bash"

size=$((1 << 20))
make_disk
echo 2048 >$size_limit
head -c $size /dev/urandom >"$disk/first"
head -c $size /dev/urandom >"$disk/second"
sync
tracing=$T/tracing
mkdir "$tracing"
mount -t tracefs tracefs "$tracing"
trap 'umount "$tracing" "$disk"' EXIT
echo 'p:cache/written_back arch_sync_dma_for_device bytes=%x1:u64' >"$tracing/kprobe_events"
echo 'p:cache/dropped arch_sync_dma_for_cpu bytes=%x1:u64' >>"$tracing/kprobe_events"
echo 1 >"$tracing/events/cache/enable"

# Sets written_back and dropped: bytes, while COMMAND runs.
count() { # COMMAND...
    echo >"$tracing/trace"
    echo 1 >"$tracing/tracing_on"
    "$@" || { echo "not ok - $*"; failed=1; }
    echo 0 >"$tracing/tracing_on"
    read -r written_back dropped < <(awk -F'bytes=' '/ written_back: / { w += $2 } / dropped: / { d += $2 }
        END { print w + 0, d + 0 }' "$tracing/trace")
}
nothing() { equals "$1: no cache is touched" "written back $written_back, dropped $dropped" 'written back 0, dropped 0'; }
both() { # NAME
    check "$1: all of it is dropped from caches at the start" test "$dropped" -ge $size
    check "$1: and written back at the end" test "$written_back" -ge $size
}
start() { # BUFFER: a driver's device is attached to it
    coproc program { exec "$DMABUFFS" exec "$1" -- "$tools/vgem-import"; }
    # shellcheck disable=SC2154 # coproc sets it
    pid=$program_PID
    read -r -t 120 said <&"${program[0]}"
}
end() { eval "exec ${program[1]}>&-"; wait "$pid"; }
kernel_cp() {
    drop_caches # what is in the page cache is copied from there
    equals "$heap: it went by the module" "$("$DMABUFFS" cp --json "$@" | jq -c .paths)" "{\"kernel-direct\":$size}"
}

load_module
mount_it
heaps=(direct)
if [[ -e /dev/dma_heap/system ]]; then heaps+=(system); fi # not with Debian's own kernel
for heap in "${heaps[@]}"; do
    buffer=$mnt/heaps/$heap/buffer
    count kernel_cp "$disk/first" "$buffer"
    nothing "$heap, no device, the module fills it"
    count kernel_cp "$buffer" "$disk/out"
    nothing "$heap, no device, the module stores it"
    count cmp "$buffer" "$disk/first"
    nothing "$heap, no device, it is read"
    start "$buffer"
    equals "$heap: a device is attached" "$said" imported
    count kernel_cp "$disk/second" "$buffer"
    both "$heap, a device, the module fills it"
    rm -f "$disk/out"
    count kernel_cp "$buffer" "$disk/out"
    check "$heap, a device, the module stores it: all of it is dropped from caches first" test "$dropped" -ge $size
    check "$heap: with the bytes" cmp "$disk/out" "$disk/second"
    count cmp "$buffer" "$disk/second"
    check "$heap, a device, it is read: all of it is dropped from caches first" test "$dropped" -ge $size
    count dd if="$disk/first" of="$buffer" bs=1M conv=notrunc status=none
    both "$heap, a device, it is written"
    end
    rm "$buffer" "$disk/out"
done
# udmabuf has a device of its own, which is attached from the first access on.
buffer=$mnt/heaps/udmabuf/buffer
cp "$disk/first" "$buffer"
"$DMABUFFS" exec "$buffer" -- true
cmp "$buffer" "$disk/first"
count dd if="$disk/second" of="$buffer" bs=1M conv=notrunc status=none
both 'udmabuf, its own device, it is written'
check 'udmabuf: it has the bytes' cmp "$buffer" "$disk/second"
unmount_it
check 'the module goes' rmmod dmabuf_file
exit "$failed"
