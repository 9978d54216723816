#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Parts "host" and "passthrough" of load.sh. The tmpfs is /dev/shm, which needs 1 GiB of room.
source "$(dirname "$0")/common.bash"

file=$WORK/x
head -c 1G /dev/urandom >"$file"
sync "$file"
memory=$(mktemp -d /dev/shm/bench.XXXXXX)
mount_it "$WORK/mnt" --files d="$WORK" -o recycle=0
# The daemon has a session of its own, whose share of the CPUs is to be that of this one.
sed -n 's/.*nice //p' /proc/self/autogroup >"/proc/$(jq .pid "$mnt/status")/autogroup" || true
trap '"$DMABUFFS" umount "$WORK/mnt"; rm -rf "$memory"' EXIT

mkdir "$WORK/many"
split -b 32M "$file" "$WORK/many/f"
sync "$WORK"/many/*
# What is freed for some seconds a virtual machine may give to its host, and waits for when it is taken again. So another
# load, not counted, goes before each.
warm() { cp "$mnt/files/d/x" "$mnt/heaps/memfd/y" && rm "$mnt/heaps/memfd/y"; }
for ((run = 0; run < RUNS; run++)); do
    forget "$WORK"/many/*
    warm
    timed '32 files of 32 MiB' cp "$mnt"/files/d/many/* "$mnt/heaps/memfd/"
    rm "$mnt"/heaps/memfd/*
    warm
    forget "$file"
    timed 'one file of 1 GiB' cp "$mnt/files/d/x" "$mnt/heaps/memfd/y"
    rm "$mnt/heaps/memfd/y"
done
rm -r "$WORK/many"
way=$(moved)
cat "$file" >/dev/null
for ((run = 0; run < RUNS; run++)); do
    for target in "$memory" "$mnt/heaps/memfd"; do
        [[ $target == "$memory" ]] && name=tmpfs || name=memfd
        timed "$name, cp from outside, warm" cp "$file" "$target/z"
        timed "$name, cat, warm" cat "$target/z"
        rm "$target/z"
    done
done 2>/dev/null
heading '1 GiB from disk into the memfd heap, not in the page cache'
row 'one file of 1 GiB'
row '32 files of 32 MiB' 'one file of 1 GiB' 1.0
echo "$way"
heading '1 GiB, all in memory'
row 'tmpfs, cp from outside, warm'
row 'memfd, cp from outside, warm' 'tmpfs, cp from outside, warm' "${OUTSIDE_AIM:-1.3}"
row 'tmpfs, cat, warm'
row 'memfd, cat, warm' 'tmpfs, cat, warm' "${CAT_AIM:-3}"
