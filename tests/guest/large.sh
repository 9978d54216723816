#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# More than 4 GiB on real dma-bufs, both ways: where lengths stop fitting into 32 bits.
# vm: --memory 7168 --scratch 12G
# timeout: 400
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
both_ways() { # HEAP PATH
    local heap=$mnt/heaps/$1 start=$SECONDS
    check "$1: cp of 4 GiB and 4097 bytes" cp --sparse=never "$mnt/files/d/source" "$heap/big"
    equals "$1: it is as long as its source" "$(stat -c %s "$heap/big")" $size
    equals "$1: it is a dma-buf" "$(about "$heap/big" is_dmabuf)" true
    equals "$1: it has the marks" "$(marks "$heap/big")" "$wanted"
    equals "$1: the dma-buf itself has the last one" "$(peek "$heap/big" $size | tail -c 17)" "$(mark $size)"
    check "$1: cp back" cp --sparse=never "$heap/big" "$mnt/files/d/back"
    rm "$heap/big"
    drop_caches
    check "$1: every byte is back" cmp "$disk/source" "$disk/back"
    equals "$1: no byte by the page cache" "$(jq -c .transfers.buffered.bytes "$mnt/status")" 0
    check "$1: the body went $2, both ways" \
        test "$(jq ".transfers[\"$2\"].bytes" "$mnt/status")" -ge $((2 * (size - 4097)))
    rm "$disk/back"
    echo "# $1: $((SECONDS - start)) s"
}
both_ways udmabuf pinned-direct
unmount_it # with what it keeps for the next load
check 'no huge pages from here on' huge_pages 0
mount_it -o size=6G --files d="$disk"
both_ways system bounce-direct
check 'unmount' unmount_it
equals 'no process was killed for memory' "$(dmesg | grep -ci 'out of memory\|oom-kill')" 0
exit $failed
