#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Parts "flat" and "flat_guest" of load.sh: what 100 buffers of 4 KiB cost beside many others in the same directory. Of the
# numbers in COUNTS those are left out for which the process may not have enough descriptors: a buffer holds one.
source "$(dirname "$0")/common.bash"

ulimit -n 150000 2>/dev/null || true # root of a whole machine may
limit=$(ulimit -Hn)
source=$(mktemp -d /dev/shm/bench.XXXXXX)
head -c $((100 * 4096)) /dev/urandom | split -b 4096 -a 2 - "$source/new-"
mount_it "$WORK/mnt" -o recycle=0
trap '"$DMABUFFS" umount "$WORK/mnt"; rm -rf "$source"' EXIT
printf 'kernel %s, %s CPUs, at most %s descriptors\n' "$(uname -r)" "$(nproc)" "$limit"
there=0 levels=()
for count in ${COUNTS:-100 1000 10000 18000 100000}; do
    [[ $limit == unlimited ]] || ((count + 1000 < limit)) || { echo "left out: $count"; continue; }
    head -c $(((count - there) * 4096)) /dev/zero | split -b 4096 -a 4 - "$mnt/heaps/memfd/$count-"
    there=$count levels+=("$count")
    for ((run = 0; run < RUNS; run++)); do
        timed "beside $count: cp" cp "$source"/* "$mnt/heaps/memfd/"
        timed "beside $count: cat" cat "$mnt"/heaps/memfd/new-*
        timed "beside $count: rm" rm "$mnt"/heaps/memfd/new-*
    done 2>/dev/null
    echo "with $count: $(sed -n 's/^VmRSS: *//p' "/proc/$(jq .pid "$mnt/status")/status") of the daemon"
done
heading '100 buffers of 4 KiB'
for what in cp cat rm; do
    for count in "${levels[@]}"; do row "beside $count: $what" "beside ${levels[0]}: $what" 1.2; done
done
