#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Part "guest" of load.sh; runs in the guest.
source "$(dirname "$0")/common.bash"

echo 2048 >/sys/module/udmabuf/parameters/size_limit_mb
echo 300 >/proc/sys/vm/nr_hugepages
mkdir -p /mnt/disk
mount /dev/vda /mnt/disk
file=/mnt/disk/x
printf 'guest (QEMU, TCG): kernel %s, %s CPUs, %s MiB, ext4 on virtio-blk, %s huge pages reserved, %s runs\n' \
    "$(uname -r)" "$(nproc)" "$(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo)" "$(</proc/sys/vm/nr_hugepages)" "$RUNS"

ways=()
# A mount for each run: in it, the first copy finds no recycled memory, the second does.
for ((run = 0; run < RUNS; run++)); do
    for heap in udmabuf system; do
        forget "$file"
        add "$heap by hand" "$("$BENCH/byhand" "$heap" "$file")"
        mount_it /mnt/m --files d=/mnt/disk
        cp "$mnt/files/d/tiny" "$mnt/heaps/memfd/tiny" # cp itself is in the cache from here on
        timed 'cp of 4 KiB' cp "$mnt/files/d/tiny" "$mnt/heaps/$heap/tiny"
        forget "$file"
        timed "$heap cp" cp "$mnt/files/d/x" "$mnt/heaps/$heap/y"
        rm "$mnt/heaps/$heap/y"
        forget "$file"
        timed "$heap cp, recycled memory" cp "$mnt/files/d/x" "$mnt/heaps/$heap/y"
        ways+=("$heap $(moved)")
        "$DMABUFFS" umount "$mnt"
    done
done

heading '256 MiB from ext4 into a dma-buf, not in the page cache'
row 'udmabuf by hand'
row 'udmabuf cp' 'udmabuf by hand' 1.0
row 'udmabuf cp, recycled memory' 'udmabuf cp' 0.3
row 'system by hand'
row 'system cp' 'system by hand' 0.5
row 'system cp, recycled memory' 'system cp' 0.3
row 'cp of 4 KiB'
printf '%s\n' "${ways[@]}" | sort | uniq -c
