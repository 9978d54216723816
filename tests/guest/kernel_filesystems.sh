#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The kernel module on each file system and disk: where it says "direct", no page of the file is in the page cache and
# the disk's sectors hold the bytes; where there is no direct I/O, it says so.
# vm: --memory 2048 --scratch 1G --scratch-nvme 512M
# timeout: 300
source "$(dirname "$0")/common.bash"

size=$(((5 << 20) + 4096))
source=$T/source other=$T/other got=$T/got wanted=$T/wanted
head -c $size /dev/urandom >"$source"
tail -c $((size - 12345)) "$source" >"$other"
head -c 12345 "$source" >>"$other"
move() { "$tools/module-move" "$@"; }
# Its pages leave the page cache; drop_caches would send for all programs anew, too.
forget() { dd of="$1" oflag=nocache conv=notrunc,fdatasync count=0 status=none; }
put() { dd if="$1" of="$2" bs=1M conv=notrunc status=none && forget "$2"; } # FILE ON-DISK
# The bytes of the disk's sectors that FILE has by the file system's map.
from_sectors() { # FILE DISK
    local first count
    filefrag -b512 -v "$1" | awk -F'[:. ]+' '$2 ~ /^[0-9]+$/ { print $5, $7 }' | while read -r first count; do
        dd if="$2" bs=1M iflag=direct,skip_bytes,count_bytes skip=$((first * 512)) count=$((count * 512)) status=none
    done
}
graft() { # BYTES AT ONTO AT LENGTH: what a transfer of that range makes of ONTO
    dd if="$1" of="$3" bs=64K iflag=skip_bytes,count_bytes skip="$2" oflag=seek_bytes seek="$4" count="$5" conv=notrunc status=none
}

heaps=(system own)
whole() { # NAME DIRECTORY DISK HOW-IT-IS-WRITTEN: into a heap's buffer and by LOAD, and from $heaps
    local name=$1 disk=$3 how=$4 heap pages error
    put "$source" "$2/in"
    for heap in system load; do
        if [[ $heap == load ]]; then pages=own; else pages=sg; fi
        equals "$name: a file into a dma-buf ($heap)" "$(move --heap $heap --direct --dump "$got" "$2/in")" "ok $size direct $pages"
        equals "$name: none of it is in the page cache ($heap)" "$(cached "$2/in")" 0
        check "$name: the dma-buf holds its bytes ($heap)" cmp "$got" "$source"
    done
    for heap in "${heaps[@]}"; do
        if [[ $heap == own ]]; then pages=own; else pages=sg; fi
        : >"$2/out"
        [[ $how != direct || $name != *NOCOW* ]] || chattr +C "$2/out"
        error=$(move --heap "$heap" --fill "$other" --to-file --direct "$2/out" 0:0:$size)
        if [[ $how == direct ]]; then
            equals "$name: a dma-buf into a file ($heap)" "$error" "ok $size direct $pages"
            equals "$name: nothing of that is in the page cache ($heap)" "$(cached "$2/out")" 0
        else
            equals "$name: direct I/O into a file is refused ($heap)" "$error" 'EOPNOTSUPP 0'
            equals "$name: and told not to be direct ($heap)" \
                "$(move --heap "$heap" --fill "$other" --to-file "$2/out" 0:0:$size)" "ok $size buffered $pages"
        fi
        forget "$2/out"
        if [[ $disk ]]; then check "$name: the disk's sectors hold the bytes ($heap)" cmp <(from_sectors "$2/out" "$disk") "$other"; fi
        forget "$2/out"
        check "$name: the file does ($heap)" cmp "$2/out" "$other"
        rm "$2/out"
    done
}
parts() { # NAME DIRECTORY HOW-IT-IS-READ: holes, what is not aligned, the end of the file
    local name=$1 how=$3 file=$2/part
    truncate -s 2M "$file"
    graft "$source" 0 "$file" $((1 << 20)) 65536
    fallocate -o 512K -l 256K "$file"
    forget "$file"
    cp --sparse=never "$file" "$wanted"
    forget "$file"
    equals "$name: a file with holes" "$(move --fill "$other" --dump "$got" "$file")" "ok $((2 << 20)) $how sg"
    check "$name: holes and what was never written read as zeroes" cmp "$got" "$wanted"
    check "$name: into a hole and onto room never written" \
        quiet move --fill "$source" --to-file "$file" 4096:4096:131072 0:524288:100000
    graft "$source" 4096 "$wanted" 4096 131072
    graft "$source" 0 "$wanted" 524288 100000
    forget "$file"
    check "$name: the file holds them, and zeroes beside them" cmp "$file" "$wanted"
    # Nothing of it is aligned; then the middle is.
    for range in 3:1000:100001 1000:1000:100001; do
        IFS=: read -r at from length <<<"$range"
        head -c 131072 "$other" >"$T/before"
        cp "$T/before" "$got.wanted"
        graft "$wanted" "$from" "$got.wanted" "$at" "$length"
        check "$name: $range into a dma-buf" quiet move --fill "$T/before" --size 131072 --dump "$got" "$file" $range
        check "$name: $range is right, and what is beside it in the dma-buf" cmp "$got" "$got.wanted"
        check "$name: $range into the file" quiet move --fill "$T/before" --size 131072 --to-file "$file" $range
        graft "$T/before" "$at" "$wanted" "$from" "$length"
        forget "$file"
        check "$name: $range is right, and what is beside it in the file" cmp "$file" "$wanted"
    done
    truncate -s 100000 "$file"
    forget "$file"
    head -c 131072 "$other" >"$T/before"
    equals "$name: a file that ends in the middle" \
        "$(move --fill "$T/before" --dump "$got" "$file" 0:0:131072)" "ok 100000 $how sg"
    check "$name: its bytes are there" cmp -n 100000 "$got" "$wanted"
    check "$name: what lies behind the file's last block is as before" cmp -i 102400 "$got" "$T/before"
    rm "$file"
}
mounted() { # DISK OPTIONS COMMAND...: that makes a file system on it
    mkdir -p "$disk"
    if ! { "${@:3}" "$1" >/dev/null 2>&1 && mount ${2:+-o "$2"} "$1" "$disk"; }; then
        echo "not ok - a file system for this test: $*"
        exit 1
    fi
}
trap 'umount "$disk" 2>/dev/null' EXIT

load_module
for kind in ext4 xfs f2fs; do
    case $kind in xfs | f2fs) force=-f ;; *) force=-F ;; esac
    mounted /dev/vda '' mkfs.$kind $force
    whole $kind "$disk" /dev/vda direct
    parts $kind "$disk" direct
    heaps=(system) # of the module's own pages no other file system knows more
    if [[ $kind == xfs ]]; then
        # Writes to it go by blocks of the file system, and reads by those of the disk.
        put "$source" "$disk/in"
        cp --reflink=always "$disk/in" "$disk/shared"
        equals 'xfs, shared blocks: one block of the disk' \
            "$(move --direct --size 4096 --dump "$got" "$disk/shared" 512:512:512)" 'ok 512 direct sg'
        check 'xfs, shared blocks: its bytes' cmp -i 512 -n 512 "$got" "$source"
    fi
    if [[ $kind == ext4 ]]; then
        truncate -s 128M "$disk/image"
        loop=$(losetup --show --direct-io=on -f "$disk/image")
        mkdir "$T/on-loop"
        mkfs.ext4 -q "$loop" && mount "$loop" "$T/on-loop"
        whole 'ext4 on a loop device' "$T/on-loop" "$loop" direct
        umount "$T/on-loop"
        losetup -d "$loop"
    fi
    umount "$disk"
done
mounted /dev/vda data=journal mkfs.ext4 -F
put "$source" "$disk/in"
for way in '' --to-file; do
    equals "ext4, data in the journal: direct I/O is refused${way:+ ($way)}" "$(move $way --direct "$disk/in")" 'EOPNOTSUPP 0'
    equals "ext4, data in the journal: told not to be direct${way:+ ($way)}" "$(move $way "$disk/in")" "ok $size buffered sg"
done
umount "$disk"

mounted /dev/vda '' mkfs.btrfs -f
whole 'btrfs' "$disk" '' buffered
whole 'btrfs, NOCOW' "$disk" '' direct
parts 'btrfs' "$disk" direct
umount "$disk"
mounted /dev/vda compress-force=zstd mkfs.btrfs -f
yes 'what can be compressed' | head -c $size >"$disk/packed"
forget "$disk/packed"
equals 'btrfs, compressed: told not to be direct' "$(move --dump "$got" "$disk/packed")" "ok $size buffered sg"
check 'btrfs, compressed: it is right' cmp "$got" "$disk/packed"
umount "$disk"

for device in /dev/vda /dev/nvme0n1; do
    put "$source" $device
    before=$(read_sectors ${device#/dev/})
    equals "$device: into a dma-buf" "$(move --direct --dump "$got" $device 0:0:$size)" "ok $size direct sg"
    after=$(read_sectors ${device#/dev/})
    check "$device: its bytes" cmp "$got" "$source"
    check "$device: it read each byte once" near $((after - before)) $size
    equals "$device: LOAD" "$(move --heap load --direct --dump "$got" $device 0:4096:$((size - 4096)))" "ok $((size - 4096)) direct own"
    check "$device: LOAD's bytes" cmp "$got" <(tail -c +4097 "$source")
    equals "$device: from a dma-buf" "$(move --direct --fill "$other" --to-file $device 0:0:$size)" "ok $size direct sg"
    check "$device: the bytes" cmp "$other" <(dd if=$device bs=$size count=1 iflag=direct status=none)
    end=$(blockdev --getsize64 $device)
    equals "$device: it ends there, reading" "$(move --direct $device 0:$((end - 8192)):65536)" 'ok 8192 direct sg'
    equals "$device: it ends there, writing" "$(move --direct --to-file $device 0:$((end - 8192)):65536)" 'ok 8192 direct sg'
    equals "$device: there is no room behind" "$(move --direct --to-file $device "0:$end:4096")" 'ENOSPC 0 sg'
done
mounted /dev/nvme0n1 '' mkfs.xfs -f
whole 'xfs on NVMe' "$disk" /dev/nvme0n1 direct
umount "$disk"

mount -t tmpfs tmpfs "$disk"
cp "$source" "$disk/in"
for way in '' --to-file; do
    equals "tmpfs: direct I/O is refused${way:+ ($way)}" "$(move $way --direct "$disk/in")" 'EOPNOTSUPP 0'
    equals "tmpfs: told not to be direct${way:+ ($way)}" "$(move $way --fill "$source" --dump "$got" "$disk/in")" "ok $size buffered sg"
    check "tmpfs: the bytes are right${way:+ ($way)}" cmp "$got" "$disk/in"
done
equals 'no dma-buf is left' "$(dmabufs)" 0
check 'the module goes' rmmod dmabuf_file
exit $failed
