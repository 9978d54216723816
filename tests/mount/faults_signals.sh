#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A program with an interval timer (a profiler, a runtime) interrupts each of its calls: its copies come to an end all
# the same.
# timeout: 300
source "$(dirname "$0")/lib.sh"
timer_copy=$DMABUFFS_BUILD/tests/timer-copy
mib=$(scaled 256 96) # more than one piece takes between two ticks
mount_it -o size=1G
random $((mib << 20)) >"$data/big"
copies() { # NAME SOURCE COPY MICROSECONDS
    run within 120 "$timer_copy" "$2" "$3" "$4"
    says "$1 ends under a timer of $4 us" 0 calls
    echo "# $out"
    same "$1 is right under a timer of $4 us" "$data/big" "$3"
}
for us in 10000 2000; do
    sync "$data/big"
    echo 1 >/proc/sys/vm/drop_caches 2>/dev/null || true # so that the disk is read, where root runs this
    copies 'a load' "$files/big" "$heap/big" $us
    copies 'a copy between buffers' "$heap/big" "$heap/twin" $us
    rm "$heap/twin"
    copies 'a save' "$heap/big" "$files/saved" $us
    rm "$heap/big" "$data/saved"
done
