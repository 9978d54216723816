#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Part "at_once" of load.sh: four loads of 256 MiB beside each other, and one after the other.
source "$(dirname "$0")/common.bash"

for name in 1 2 3 4; do head -c 256M /dev/urandom >"$WORK/$name"; done
sync
mount_it "$WORK/mnt" --files d="$WORK" -o recycle=0
trap '"$DMABUFFS" umount "$WORK/mnt"' EXIT
load() { # NAME SCRIPT
    # A load that is not counted: what is free for long a virtual machine gives to its host, and waits for.
    cp "$mnt"/files/d/[1-4] "$mnt/heaps/memfd/"
    rm "$mnt"/heaps/memfd/[1-4]
    forget "$WORK"/[1-4]
    timed "$1" sh -c "cd '$mnt'; $2"
    rm "$mnt"/heaps/memfd/[1-4]
}
# shellcheck disable=SC2016 # the dollars are the inner shell's
for ((run = 0; run < RUNS; run++)); do
    load 'one after the other' 'for i in 1 2 3 4; do cp files/d/$i heaps/memfd/$i; done'
    load 'at once' 'for i in 1 2 3 4; do cp files/d/$i heaps/memfd/$i & done; wait'
done
heading 'four files of 256 MiB, from disk'
row 'one after the other'
row 'at once' 'one after the other' 1.05
