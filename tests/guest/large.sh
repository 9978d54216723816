#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# More than 4 GiB in a real dma-buf, both ways: where lengths stop fitting into 32 bits.
# guest: debian12 (cp --sparse=never of coreutils 9.7 has the kernel copy nothing)
# vm: --memory 6144 --scratch 12G
# timeout: 200
source "$(dirname "$0")/common.bash"

make_disk
size=$(((4 << 30) + 4097))
edges=(0 $((1 << 31)) $((1 << 32)) "$size")
# Around each edge: what lies before it and behind it. All else is allocated but never written, which the disk need not
# read; a hole cp would write itself, and copy_file_range only what is between holes.
mark() { printf 'around %010d' "$1"; }
fallocate -l $size "$disk/source"
for edge in "${edges[@]}"; do
    at=$((edge < 8 ? 0 : edge == size ? size - 17 : edge - 8))
    mark "$edge" | dd of="$disk/source" bs=17 oflag=seek_bytes seek=$at conv=notrunc status=none
done
sync
marks() { # FILE
    local edge
    for edge in "${edges[@]}"; do
        dd if="$1" bs=17 count=1 iflag=skip_bytes skip=$((edge < 8 ? 0 : edge == size ? size - 17 : edge - 8)) status=none
        echo
    done
}
wanted=$(for edge in "${edges[@]}"; do mark "$edge"; echo; done)
equals 'the marks are in the source' "$(marks "$disk/source")" "$wanted"

echo 8192 >$size_limit
check 'huge pages for the test' huge_pages 2100
mount_it -o size=6G --files d="$disk"
copy=$mnt/heaps/udmabuf/big
check 'cp of 4 GiB and 4097 bytes' cp --sparse=never "$mnt/files/d/source" "$copy"
equals 'it is as long as its source' "$(stat -c %s "$copy")" $size
equals 'it is a dma-buf' "$(about "$copy" is_dmabuf)" true
equals 'it has the marks' "$(marks "$copy")" "$wanted"
equals 'the dma-buf itself has the last one' "$(peek "$copy" 17 $((size - 17)))" "$(mark $size)"
check 'cp back' cp --sparse=never "$copy" "$mnt/files/d/back"
drop_caches
equals 'the copy back is as long' "$(stat -c %s "$disk/back")" $size
equals 'the copy back has the marks' "$(marks "$disk/back")" "$wanted"
equals 'by the page cache only the byte that no sector ends with' "$(jq -c .transfers.buffered.bytes "$mnt/status")" 1
check 'the rest went pinned-direct, both ways' \
    test "$(jq '.transfers["pinned-direct"].bytes' "$mnt/status")" -ge $((2 * (size - 4097)))
check 'unmount' unmount_it
equals 'no process was killed for memory' "$(dmesg | grep -ci 'out of memory\|oom-kill')" 0
exit $failed
