#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `cp` between a disk and a dma-buf is direct: the counters say so, the page cache stays empty and the disk moves
# each byte once, and the dma-buf itself holds the bytes.
# vm: --memory 4096 --scratch 2G
# timeout: 400
source "$(dirname "$0")/common.bash"

size=$((256 << 20))
make_disk
make_source "$disk/x" $size
head -c 102457 /dev/urandom >"$disk/odd"
sync
echo 2048 >$size_limit

mount_options=()

# What a device would find in the dma-buf.
same_bytes() { peek "$1" --same-as "$disk/x"; }
same_on_disk() { "$tools/same-bytes" "$disk/x" "$1"; }

both_ways() { # HEAP PATH NAME
    local heap=$mnt/heaps/$1 before after
    mount_it "${mount_options[@]}" --files d="$disk"
    drop_caches
    before=$(read_sectors)
    check "$3: cp from disk to dma-buf" cp "$mnt/files/d/x" "$heap/y"
    after=$(read_sectors)
    equals "$3: nothing of the source is in the page cache" "$(cached "$disk/x")" 0
    check "$3: the disk read each byte once" near $((after - before)) $size
    equals "$3: every byte went $2" "$(moved)" "{\"$2\":$size}"
    equals "$3: it is a dma-buf of the right length" "$(about "$heap/y" is_dmabuf) $(stat -c %s "$heap/y")" "true $size"
    check "$3: the dma-buf itself holds the bytes" same_bytes "$heap/y"
    check "$3: the file reads the same" cmp "$disk/x" "$heap/y"

    drop_caches
    before=$(written_sectors)
    check "$3: cp from dma-buf to disk" cp "$heap/y" "$mnt/files/d/back"
    equals "$3: nothing of the destination is in the page cache" "$(cached "$disk/back")" 0
    sync
    after=$(written_sectors)
    check "$3: the disk wrote each byte once" near $((after - before)) $size
    equals "$3: every byte back went $2, too" "$(moved)" "{\"$2\":$((2 * size))}"
    check "$3: the bytes are on the disk" same_on_disk "$disk/back"
    rm "$disk/back" "$heap/y"
    check "$3: unmount" unmount_it
}

check 'huge pages for the test' huge_pages 300
mount_it --files d="$disk"
cp "$mnt/files/d/x" "$mnt/heaps/udmabuf/y"
equals 'all of a udmabuf is in huge pages when there are enough' "$(about "$mnt/heaps/udmabuf/y" huge_bytes)" $size
unmount_it
both_ways udmabuf pinned-direct 'udmabuf, huge pages'
both_ways system bounce-direct 'system heap'
check 'no huge pages are set aside from here on' huge_pages 0
if kernel_since 7.3; then
    mount_it --files d="$disk"
    cp "$mnt/files/d/x" "$mnt/heaps/udmabuf/y"
    equals 'then all of a udmabuf is in huge pages that nobody set aside' "$(about "$mnt/heaps/udmabuf/y" huge_bytes)" $size
    unmount_it
    both_ways udmabuf pinned-direct 'udmabuf, huge pages made for it'
fi
mount_options=(--heap udmabuf:huge=never)
both_ways udmabuf pinned-direct 'udmabuf, 4 KiB pages'

# From outside of the mount, by the program itself.
mount_it
paths() { "$DMABUFFS" cp --json "$@" | jq -c .paths; }
drop_caches
equals 'dmabuffs cp from outside into udmabuf is direct' "$(paths --require-direct "$disk/x" "$mnt/heaps/udmabuf/o")" \
    "{\"pinned-direct\":$size}"
equals 'and leaves nothing in the page cache' "$(cached "$disk/x")" 0
check 'the dma-buf holds the bytes' same_bytes "$mnt/heaps/udmabuf/o"
equals 'dmabuffs cp back to the outside is direct' "$(paths --require-direct "$mnt/heaps/udmabuf/o" "$disk/out")" \
    "{\"pinned-direct\":$size}"
check 'with the same bytes' same_on_disk "$disk/out"
rm "$disk/out" "$mnt/heaps/udmabuf/o"
drop_caches
equals 'dmabuffs cp from outside into the system heap is direct' "$(paths "$disk/x" "$mnt/heaps/system/o")" \
    "{\"bounce-direct\":$size}"
check 'the dma-buf of the system heap holds the bytes' same_bytes "$mnt/heaps/system/o"
run "$DMABUFFS" cp --require-direct "$disk/x" "$mnt/heaps/system/refused"
says '--require-direct refuses the copy that the system heap needs' 1 "$mnt/heaps/system/refused"
check 'and leaves no bytes' test ! -s "$mnt/heaps/system/refused"
drop_caches
run "$DMABUFFS" cp --json "$disk/odd" "$mnt/heaps/udmabuf/odd"
equals 'a length that is no whole block goes direct but for its end' "$(jq -c .paths <<<"$out")" \
    '{"bounce-direct":57,"pinned-direct":102400}'
check 'and is right' cmp "$disk/odd" "$mnt/heaps/udmabuf/odd"
check 'the reason is told' quiet jq -e '.reasons[] | select(.path == "bounce-direct") | .why | contains("unaligned")' \
    <<<"$out"
check 'unmount' unmount_it

# The mount's own rule, met by a plain cp.
mount_it --require-direct --files d="$disk"
run cp "$mnt/files/d/x" "$mnt/heaps/system/y"
says 'mount --require-direct: cp into the system heap fails with EIO' 1 'Input/output error'
check 'status says why' quiet jq -e '.refused | any(.message | contains("VM_PFNMAP"))' "$mnt/status"
equals 'no byte was moved' "$(moved)" '{}'
check 'mount --require-direct: cp into udmabuf succeeds' cp "$mnt/files/d/x" "$mnt/heaps/udmabuf/y"
equals 'pinned-direct alone' "$(moved)" "{\"pinned-direct\":$size}"
run cp "$mnt/files/d/odd" "$mnt/heaps/udmabuf/odd"
says 'an end that is no block is no reason to refuse' 0 ''
check 'its bytes are right' cmp "$disk/odd" "$mnt/heaps/udmabuf/odd"
check 'unmount' unmount_it
exit $failed
