#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A disk that fails in the middle of a file: EIO, what was stored before is right, and nothing stale is shown.
# vm: --memory 2048 --scratch 1G
# timeout: 400
source "$(dirname "$0")/common.bash"

make_disk
mib=$((1 << 20))
size=$((8 * mib))
marker=OLD-BYTES-OF-SOMEBODY
# A device of 24 MiB that is an ordinary one first; its second half becomes one that fails every request.
modprobe -q dm-mod
truncate -s 24M "$disk/image"
loop=$(losetup --show -f "$disk/image") || { echo 'not ok - a loop device'; exit 1; }
sectors=$((24 * mib / 512))
whole="0 $sectors linear $loop 0"
device=/dev/mapper/failing
dmsetup create failing --table "$whole" || { echo 'not ok - a device-mapper device'; exit 1; }
bad=$T/bad
mkdir "$bad"
# shellcheck disable=SC2317 # called by the trap
clean_up() {
    mountpoint -q "$mnt" && "$DMABUFFS" umount "$mnt"
    umount "$bad"
    dmsetup remove failing
    losetup -d "$loop"
    umount "$disk"
}
trap clean_up EXIT
# Not a journal's business: with one, a failed write may turn the file system read-only.
mkfs.ext4 -q -F -m 0 -O ^has_journal "$device" && mount -o errors=continue "$device" "$bad"
yes 'the source' | head -c $size >"$bad/source"
head -c $size /dev/zero >"$bad/out"
# All that is left, so that a new content of `out` can only get the blocks that it has now.
# But for less than what will fail, which the file system may need to note where they are.
dd if=/dev/zero of="$bad/rest" bs=64K status=none 2>/dev/null
truncate -s -256K "$bad/rest"
sync
place() { # FILE: the sector of the device where its second half begins
    filefrag -b512 -v "$1" | awk -F'[:. ]+' -v want=$((size / 2 / 512)) '
        $2 ~ /^[0-9]+$/ && want >= $3 && want <= $4 { print $5 + want - $3; exit }'
}
source_at=$(place "$bad/source") out_at=$(place "$bad/out")
[[ $source_at && $out_at ]] || { echo 'not ok - the place of the files on the device'; filefrag -b512 -v "$bad"/*; exit 1; }
breaks() { # SECTOR: the MiB that begins there fails
    local table="0 $1 linear $loop 0
$1 2048 error
$(($1 + 2048)) $((sectors - $1 - 2048)) linear $loop $(($1 + 2048))"
    dmsetup suspend failing && dmsetup reload failing --table "$table" && dmsetup resume failing
}
heals() { dmsetup suspend failing && dmsetup reload failing --table "$whole" && dmsetup resume failing; }
refute() { ! "$@"; }
recycled() { jq .memory.recycled "$mnt/status"; }

mount_it --files d="$disk" --files bad="$bad"
for heap in memfd udmabuf system; do
    dir=$mnt/heaps/$heap
    # Memory that is used again holds the bytes of another: a load that fails must not show them.
    yes "$marker" | head -c $size >"$disk/old"
    cp "$mnt/files/d/old" "$dir/old"
    rm "$dir/old"
    if [[ $heap != memfd ]]; then # a memfd's memory is not used again
        for _ in {1..50}; do (($(recycled) >= size)) && break; sleep 0.1; done
        check "$heap: memory with old bytes is kept for the next load" test "$(recycled)" -ge $size
    fi
    drop_caches
    check 'the disk breaks' breaks "$source_at"
    for tool in cp "$DMABUFFS cp --no-progress"; do
        name="$heap: ${tool##*/}"
        rm -f "$dir/load"
        # shellcheck disable=SC2086 # one word or several
        run timeout --kill-after=10 100 $tool "$mnt/files/bad/source" "$dir/load"
        says "$name from a disk that fails in mid-file: EIO" 1 'Input/output error'
        # What came into being by a copy of which nothing arrived may have gone again.
        [[ -e $dir/load ]] || : >"$dir/load"
        length=$(stat -c %s "$dir/load")
        check "$name: not longer than what could be read ($length)" test "$length" -le $((size / 2))
        check "$name: which is right" cmp -n "$length" <(yes 'the source') "$dir/load"
        truncate -s $size "$dir/load"
        check "$name: nothing of the old bytes is shown" quiet refute grep -q "$marker" "$dir/load"
        if [[ $heap != memfd ]]; then
            check "$name: nor is it in the dma-buf" quiet refute grep -q "$marker" <(peek "$dir/load")
        fi
        check "$name: what was not read is zero" cmp -n $((size - length)) /dev/zero <(tail -c +$((length + 1)) "$dir/load")
        rm "$dir/load"
    done
    check "$heap: the reason is in status" quiet jq -e '.refused | any(.message | contains("source"))' "$mnt/status"
    check 'the disk is well again' heals
    check "$heap: then it is copied" cp "$mnt/files/bad/source" "$dir/load"
    check "$heap: and right" cmp "$bad/source" "$dir/load"

    # The other way.
    for tool in cp "$DMABUFFS cp --no-progress"; do
        name="$heap: ${tool##*/}"
        yes "$heap $tool" | head -c $size >"$dir/load"
        check 'the disk breaks' breaks "$out_at"
        # shellcheck disable=SC2086 # one word or several
        run timeout --kill-after=10 100 $tool "$dir/load" "$mnt/files/bad/out"
        says "$name to a disk that fails in mid-file: EIO" 1 'Input/output error'
        check 'the disk is well again' heals
        drop_caches
        length=$(stat -c %s "$bad/out")
        check "$name: what the length of the file says is stored ($length)" cmp -n "$length" "$dir/load" "$bad/out"
        # Less than that only if it got the blocks that fail where it had them before, which no file system promises.
        check "$name: and it is not longer than what could be written" test "$length" -lt $size
        check "$name: then it is copied" cp "$dir/load" "$mnt/files/bad/out"
        drop_caches
        check "$name: and right, on the disk" cmp "$dir/load" "$bad/out"
    done
    rm -f "$dir"/*
done
check 'unmount' unmount_it
exit $failed
