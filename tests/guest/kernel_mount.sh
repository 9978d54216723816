#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A mount with the kernel module: dma-heap buffers and those of the heap "direct" are moved by the kernel itself.
# vm: --memory 3072 --scratch 2G
# timeout: 200
source "$(dirname "$0")/common.bash"

size=$((64 << 20))
make_disk
make_source "$disk/x" $size
head -c 102457 /dev/urandom >"$disk/odd"
sync
mount_it --files d="$disk"
check 'without the module there is no heap "direct"' test ! -e "$mnt/heaps/direct"
# One of another version is as none.
check 'another module of the name' insmod "$(dirname "$DMABUFFS_BUILD")/kernel/$(uname -r)/test/dmabuf_other.ko"
run "$DMABUFFS" doctor --json
equals 'doctor sees that it is none' "$(jq -r '.heaps[] | select(.name == "system").path' <<<"$out")" bounce-direct
check 'and says why' grep -q 'another version (its interface is 2, and not 1)' <<<"$out"
sleep 1.1 # a mount looks once a second
drop_caches
check 'a mount does without it, too' cp "$mnt/files/d/odd" "$mnt/heaps/system/without"
check 'and says so' grep -q 'its interface is 2' "$mnt/status"
check 'there is no heap that could not work' test ! -e "$mnt/heaps/direct"
rm "$mnt/heaps/system/without"
check 'it keeps nobody from taking it away' rmmod dmabuf_other
load_module
sleep 1.1 # it looks once a second
check 'a mount takes the module when it comes' test -d "$mnt/heaps/direct"
for heap in direct system; do check "and copies by it: $heap" cp "$mnt/files/d/x" "$mnt/heaps/$heap/y"; done
equals 'all of it' "$(jq '.transfers["kernel-direct"].bytes' "$mnt/status")" $((2 * size))
check 'unmount' unmount_it
mkdir "$disk/example"
run env T="$disk/example" "$(dirname "$0")/../mount/docs_example.sh"
equals 'the example of docs/kernel.md' "$status: $(grep '^not ok' <<<"$out")" '0: '
run "$DMABUFFS" doctor --json
equals 'doctor knows the path' "$(jq -r '.heaps[] | select(.name == "system").path' <<<"$out")" kernel-direct
dmabufs_before=$(dmabufs)
listed() { awk -v inode="$(printf %08d "$1")" '$6 == inode { print $1, $5, $7 }' /sys/kernel/debug/dma_buf/bufinfo; } # INODE
for heap in system direct; do
    if [[ $heap == direct ]]; then exporter=dmabuf_file; else exporter=system; fi
    mount_it --files d="$disk" --require-direct
    dir=$mnt/heaps/$heap
    drop_caches
    before=$(read_sectors)
    check "$heap: cp from disk, direct I/O required" cp "$mnt/files/d/x" "$dir/y"
    after=$(read_sectors)
    equals "$heap: nothing of the source is in the page cache" "$(cached "$disk/x")" 0
    check "$heap: the disk read each byte once" near $((after - before)) $size
    equals "$heap: every byte went by the kernel" "$(moved)" "{\"kernel-direct\":$size}"
    equals "$heap: it is a dma-buf" "$(about "$dir/y" is_dmabuf) $(stat -c %s "$dir/y")" "true $size"
    check "$heap: which holds the bytes" peek "$dir/y" --same-as "$disk/x"
    inode=$(about "$dir/y" inode)
    equals "$heap: the kernel's list has its size, exporter and name" "$(listed "$inode")" "$(printf %08d $size) $exporter y"
    drop_caches
    check "$heap: another buffer" cp "$mnt/files/d/x" "$dir/z"
    inode_before=$(about "$dir/z" inode)
    rm "$dir/z"
    check "$heap: of the same size, when that one is gone" cp "$mnt/files/d/x" "$dir/z"
    equals "$heap: is in its memory" "$(about "$dir/z" inode)" "$inode_before"
    check "$heap: and has the bytes" cmp "$disk/x" "$dir/z"
    rm "$dir/z"
    # In one go: descriptors of the daemon's come and go.
    info=$(cat "/proc/$daemon/fdinfo/"* 2>/dev/null | awk -v inode="$inode" '/^ino:/ { its = $2 == inode }
        its && /^(size|exp_name|name):/ { print $2 }' | head -n 3 | paste -sd' ')
    equals "$heap: so has fdinfo" "$info" "$size $exporter y"
    before=$(written_sectors)
    check "$heap: cp to disk" cp "$dir/y" "$mnt/files/d/back"
    sync
    after=$(written_sectors)
    equals "$heap: nothing of the destination is in the page cache" "$(cached "$disk/back")" 0
    check "$heap: the disk wrote each byte once" near $((after - before)) $size
    equals "$heap: every byte back, too" "$(moved)" "{\"kernel-direct\":$((4 * size))}"
    check "$heap: the bytes are on the disk" "$tools/same-bytes" "$disk/x" "$disk/back"
    rm "$disk/back"
    drop_caches
    run "$DMABUFFS" cp --json "$disk/odd" "$dir/odd"
    # Heap direct is loaded to the file's end in one go.
    declare -A odd=([system]='{"bounce-direct":57,"kernel-direct":102400}' [direct]='{"kernel-direct":102457}')
    equals "$heap: an odd length goes by the kernel, but for its end" "$(jq -c .paths <<<"$out")" "${odd[$heap]}"
    check "$heap: and is right" cmp "$disk/odd" "$dir/odd"
    run rmmod dmabuf_file
    says "$heap: the module stays while a mount uses it" 1 'in use'
    check "$heap: unmount" unmount_it
    equals "$heap: nothing of it is listed any more" "$(listed "$inode")" ''
done
equals 'no dma-buf is left' "$(dmabufs)" "$dmabufs_before"
check 'the module goes' rmmod dmabuf_file
exit $failed
