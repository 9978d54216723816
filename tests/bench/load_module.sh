#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Part "module" of load.sh; runs in the guest.
source "$(dirname "$0")/common.bash"

echo 2048 >/sys/module/udmabuf/parameters/size_limit_mb
echo always >/sys/kernel/mm/transparent_hugepage/enabled
insmod "$MODULES/$(uname -r)/dmabuf_file.ko"
mkdir -p /mnt/disk
mount /dev/vda /mnt/disk
file=/mnt/disk/x
out=/mnt/disk/out
fallocate -l "$(stat -c %s "$file")" "$out"
dd if=/dev/zero of="$out" bs=4M oflag=direct conv=notrunc status=none count=$(($(stat -c %s "$file") >> 22))
printf 'guest (QEMU, TCG): kernel %s, %s CPUs, %s MiB, ext4 on virtio-blk, %s runs, init_on_alloc: %s\n' \
    "$(uname -r)" "$(nproc)" "$(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo)" "$RUNS" \
    "$(grep -o 'init_on_alloc=[01]' /proc/cmdline || echo 'as Debian boots')"

drop() { sync; echo 1 >/proc/sys/vm/drop_caches; }
# NAME ALLOCATE MOVE: two lines for LOAD
lap() { add "$1, allocation" "$2"; add "$1, bytes" "$3"; add "$1, whole" "$(awk -v a="$2" -v b="$3" 'BEGIN { print a + b }')"; }
for ((run = 0; run < RUNS; run++)); do
    for way in ceiling memfd transfer; do
        for direction in load store; do
            target=$file
            [[ $direction == load ]] || target=$out
            drop
            read -r allocate bytes < <("$BENCH/module_load" $way $direction "$target")
            lap "$way $direction" "$allocate" "$bytes"
        done
    done
    drop
    read -r _ took < <("$BENCH/module_load" load load "$file")
    add 'LOAD' "$took"
    mount_it /mnt/buf --files d=/mnt/disk
    for name in first recycled; do
        forget "$file"
        timed "cp into direct, $name" cp "$mnt/files/d/x" "$mnt/heaps/direct/y"
        rm "$mnt/heaps/direct/y"
    done
    forget "$file"
    timed 'cp into system' cp "$mnt/files/d/x" "$mnt/heaps/system/y"
    rm "$mnt/heaps/system/y"
    timed 'cp of 4 KiB into direct' cp "$mnt/files/d/tiny" "$mnt/heaps/direct/y"
    rm "$mnt/heaps/direct/y"
    way=$(moved)
    "$DMABUFFS" umount "$mnt"
done

heading '256 MiB, not in the page cache: the bytes alone'
row 'ceiling load, bytes'
row 'transfer load, bytes' 'ceiling load, bytes' 1.25
row 'memfd load, bytes'
row 'transfer load, bytes' 'memfd load, bytes' 0.2
row 'ceiling store, bytes'
row 'transfer store, bytes' 'ceiling store, bytes' 1.25
row 'memfd store, bytes'
row 'transfer store, bytes' 'memfd store, bytes' 0.2
heading 'with the allocation'
row 'transfer load, whole'
row 'LOAD' 'transfer load, whole' "${LOAD_AIM:-1.0}"
row 'cp into direct, first' 'transfer load, whole'
row 'cp into direct, recycled' 'cp into direct, first' 0.3
row 'cp into system' 'transfer load, whole'
row 'cp of 4 KiB into direct'
echo "$way"
