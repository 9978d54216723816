#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# By the kernel module, through a mount: more than 4 GiB both ways, where lengths stop fitting into 32 bits, and 32 files
# of 32 MiB both ways.
# guest: debian12 (cp --sparse=never of coreutils 9.7 has the kernel copy nothing)
# vm: --memory 6144 --scratch 12G
# timeout: 400
source "$(dirname "$0")/common.bash"

make_disk
size=$(((4 << 30) + 4097))
edges=(0 $((1 << 31)) $((1 << 32)) "$size")
# Around each edge: what lies before it and behind it. All else is allocated but never written, which the disk need not
# read; a hole cp would write itself, and copy_file_range only what is between holes.
place() { echo $(($1 < 8 ? 0 : $1 == size ? size - 17 : $1 - 8)); } # EDGE
mark() { printf 'around %010d' "$1"; }
fallocate -l $size "$disk/source"
for edge in "${edges[@]}"; do
    mark "$edge" | dd of="$disk/source" bs=17 oflag=seek_bytes seek="$(place "$edge")" conv=notrunc status=none
done
sync
marks() { # FILE
    local edge
    for edge in "${edges[@]}"; do
        dd if="$1" bs=17 count=1 iflag=skip_bytes skip="$(place "$edge")" status=none
        echo
    done
}
wanted=$(for edge in "${edges[@]}"; do mark "$edge"; echo; done)

load_module
before=$(dmabufs)
for heap in system direct; do
    mount_it -o size=5G --files d="$disk"
    copy=$mnt/heaps/$heap/big
    check "$heap: cp of 4 GiB and 4097 bytes" cp --sparse=never "$mnt/files/d/source" "$copy"
    equals "$heap: it is as long as its source" "$(stat -c %s "$copy")" $size
    equals "$heap: it is a dma-buf" "$(about "$copy" is_dmabuf)" true
    equals "$heap: it has the marks" "$(marks "$copy")" "$wanted"
    equals "$heap: the dma-buf itself has the last one" "$(peek "$copy" 17 $((size - 17)))" "$(mark $size)"
    equals "$heap: every whole block went by the kernel" "$(jq '.transfers["kernel-direct"].bytes' "$mnt/status")" $((size - 1))
    equals "$heap: nothing of the source is in the page cache but what no block ends with" \
        "$(($(cached "$disk/source") <= 65536))" 1
    if [[ $heap == system ]]; then # back it is the same for both, and takes long
        check "$heap: cp back" cp --sparse=never "$copy" "$mnt/files/d/back"
        drop_caches
        equals "$heap: the copy back is as long" "$(stat -c %s "$disk/back")" $size
        equals "$heap: the copy back has the marks" "$(marks "$disk/back")" "$wanted"
        equals "$heap: every whole block went back by it, too" "$(jq '.transfers["kernel-direct"].bytes' "$mnt/status")" $((2 * (size - 1)))
        rm "$disk/back"
    fi
    rm "$copy"
    check "$heap: unmount" unmount_it
done
rm "$disk/source"

# Each file another part of the same bytes, in an order of its own.
piece=$((32 << 20))
make_source "$disk/bytes" $((piece + (1 << 20)))
mkdir "$disk/in" "$disk/out"
for i in {01..32}; do
    dd if="$disk/bytes" of="$disk/in/$i" bs=4M iflag=direct,skip_bytes,count_bytes oflag=direct skip=$((10#$i * 4096)) \
        count=$piece status=none
done
rm "$disk/bytes"
sums() { (cd "$1" && find . -type f -print0 | xargs -0 -n 4 -P 2 b2sum | sort -k 2); } # DIRECTORY
heap=direct
mount_it --files d="$disk"
check "$heap: cp of 32 files of 32 MiB" cp "$mnt"/files/d/in/* "$mnt/heaps/$heap"
equals "$heap: all by the kernel" "$(moved)" "{\"kernel-direct\":$((32 * piece))}"
equals "$heap: they are 32 dma-bufs of that size" \
    "$(awk -v size="$(printf %08d $piece)" '$1 == size' /sys/kernel/debug/dma_buf/bufinfo | wc -l)" 32
for i in 01 17 32; do
    check "$heap: dma-buf $i itself holds its bytes" peek "$mnt/heaps/$heap/$i" --same-as "$disk/in/$i"
done
check "$heap: cp back" cp "$mnt/heaps/$heap"/* "$mnt/files/d/out"
equals "$heap: all back by the kernel" "$(moved)" "{\"kernel-direct\":$((64 * piece))}"
drop_caches
in=$(sums "$disk/in")
equals "$heap: the checksums are those of 32 different files" "$(cut -d' ' -f1 <<<"$in" | sort -u | wc -l)" 32
equals "$heap: and the same afterwards" "$(sums "$disk/out")" "$in"
check "$heap: unmount" unmount_it
equals 'no dma-buf is left' "$(dmabufs)" "$before"
check 'the module goes' rmmod dmabuf_file
equals 'no process was killed for memory' "$(dmesg | grep -ci 'out of memory\|oom-kill')" 0
exit $failed
