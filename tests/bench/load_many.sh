#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Part "many" of load.sh; runs in the guest.
source "$(dirname "$0")/common.bash"

echo 2048 >/sys/module/udmabuf/parameters/size_limit_mb
echo 560 >/proc/sys/vm/nr_hugepages
mkdir -p /mnt/disk
mount /dev/vda /mnt/disk
printf 'guest (QEMU, TCG): kernel %s, %s MiB, %s huge pages reserved, %s runs\n' "$(uname -r)" \
    "$(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo)" "$(</proc/sys/vm/nr_hugepages)" "$RUNS"
# Without recycling each load is a first one.
mount_it /mnt/m --files d=/mnt/disk -o recycle=0
for ((run = 0; run < RUNS; run++)); do
    for heap in udmabuf system; do
        forget /mnt/disk/f*
        timed "$heap, 32 files of 32 MiB" cp "$mnt"/files/d/f* "$mnt/heaps/$heap/"
        rm "$mnt/heaps/$heap"/*
        forget /mnt/disk/one
        timed "$heap, one file of 1 GiB" cp "$mnt/files/d/one" "$mnt/heaps/$heap/"
        rm "$mnt/heaps/$heap"/*
    done
done
heading '1 GiB from ext4 into dma-bufs by one cp'
for heap in udmabuf system; do
    row "$heap, one file of 1 GiB"
    row "$heap, 32 files of 32 MiB" "$heap, one file of 1 GiB" 1.0
done
moved
"$DMABUFFS" umount "$mnt"
