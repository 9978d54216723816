#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Part "small" of load.sh: a pile of small files, all in memory. As root, for a tmpfs of its own: within one, `cp` hands files
# over inside the kernel.
source "$(dirname "$0")/common.bash"

files=${FILES:-2000}
source=$(mktemp -d /dev/shm/bench.XXXXXX)
mkdir "$WORK/tmpfs"
mount -t tmpfs tmpfs "$WORK/tmpfs"
mount_it "$WORK/mnt" -o recycle=0
trap '"$DMABUFFS" umount "$WORK/mnt"; umount "$WORK/tmpfs"; rm -rf "$source"' EXIT
head -c $((files * 65536)) /dev/urandom | split -b 65536 -a 5 - "$source/"
for ((run = 0; run < RUNS; run++)); do
    timed 'cp -r to another tmpfs' cp -r "$source" "$WORK/tmpfs/d"
    rm -r "$WORK/tmpfs/d"
    timed 'cp -r into heaps/memfd' cp -r "$source" "$mnt/heaps/memfd/d"
    rm -r "$mnt/heaps/memfd/d"
    timed 'dmabuffs cp -r into heaps/memfd' "$DMABUFFS" cp -r --no-progress "$source" "$mnt/heaps/memfd/d"
    rm -r "$mnt/heaps/memfd/d"
done
heading "$files files of 64 KiB, all in memory"
row 'cp -r to another tmpfs'
row 'cp -r into heaps/memfd' 'cp -r to another tmpfs' 2.0
row 'dmabuffs cp -r into heaps/memfd' 'cp -r into heaps/memfd' 1.0
