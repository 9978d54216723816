#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A mount with the kernel module: dma-heap buffers and those of the heap "direct" are moved by the kernel itself.
# vm: --memory 3072 --scratch 2G
# timeout: 200
source "$(dirname "$0")/common.bash"

size=$((64 << 20))
make_disk
piece=$((5246976 + 4096))
head -c $piece /dev/urandom >"$T/piece"
for ((i = 0; i * piece < size; i++)); do
    dd if="$T/piece" of="$disk/x" bs=$piece seek=$i oflag=direct conv=notrunc status=none
done
truncate -s $size "$disk/x"
head -c 12345 /dev/urandom >"$disk/odd"
sync
sectors() { awk -v field="$1" '{ print $field }' /sys/block/vda/stat; }
near() { between $(($1 * 512)) $((size - size / 50)) $((size + size / 50)); }
dmabufs() { sed -n 's/^Total \([0-9]*\) objects.*/\1/p' /sys/kernel/debug/dma_buf/bufinfo; }

mount_it --files d="$disk"
check 'without the module there is no heap "direct"' test ! -e "$mnt/heaps/direct"
check 'unmount' unmount_it
check 'the module loads' insmod "$(dirname "$DMABUFFS_BUILD")/kernel/$(uname -r)/dmabuf_file.ko"
run "$DMABUFFS" doctor --json
equals 'doctor knows the path' "$(jq -r '.heaps[] | select(.name == "system").path' <<<"$out")" kernel-direct
before=$(dmabufs)
for heap in system direct; do
    mount_it --files d="$disk" --require-direct
    dir=$mnt/heaps/$heap
    drop_caches
    read_before=$(sectors 3)
    check "$heap: cp from disk, direct I/O required" cp "$mnt/files/d/x" "$dir/y"
    read_after=$(sectors 3)
    equals "$heap: nothing of the source is in the page cache" "$(cached "$disk/x")" 0
    check "$heap: the disk read each byte once" near $((read_after - read_before))
    equals "$heap: every byte went by the kernel" "$(moved)" "{\"kernel-direct\":$size}"
    equals "$heap: it is a dma-buf" "$(about "$dir/y" is_dmabuf) $(stat -c %s "$dir/y")" "true $size"
    check "$heap: which holds the bytes" peek "$dir/y" --same-as "$disk/x"
    written_before=$(sectors 7)
    check "$heap: cp to disk" cp "$dir/y" "$mnt/files/d/back"
    sync
    written_after=$(sectors 7)
    equals "$heap: nothing of the destination is in the page cache" "$(cached "$disk/back")" 0
    check "$heap: the disk wrote each byte once" near $((written_after - written_before))
    equals "$heap: every byte back, too" "$(moved)" "{\"kernel-direct\":$((2 * size))}"
    check "$heap: the bytes are on the disk" "$tools/same-bytes" "$disk/x" "$disk/back"
    rm "$disk/back"
    drop_caches
    run "$DMABUFFS" cp --json "$disk/odd" "$dir/odd"
    equals "$heap: an odd length goes by the kernel but for its end" "$(jq -c .paths <<<"$out")" \
        '{"bounce-direct":57,"kernel-direct":12288}'
    check "$heap: and is right" cmp "$disk/odd" "$dir/odd"
    run rmmod dmabuf_file
    says "$heap: the module stays while a mount uses it" 1 'in use'
    check "$heap: unmount" unmount_it
done
equals 'no dma-buf is left' "$(dmabufs)" "$before"
check 'the module goes' rmmod dmabuf_file
exit $failed
