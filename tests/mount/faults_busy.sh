#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Beside a big copy the mount answers; the copy can be stopped; the mount can be taken away under load.
# timeout: 300
source "$(dirname "$0")/lib.sh"
mib=$((1 << 20))
big=$(scaled 4096 768) # MiB: must take longer than what is tried beside it
if [[ ${DMABUFFS_SANITIZER-} == tsan ]]; then big=1024; fi # whose shadow is four times what the daemon maps, and which is slow
mount_it -o size=$((big * 3 / 2))M,recycle=0 # kept memory is filled too quickly
ms() { echo $(($(date +%s%N) / 1000000)); }
# What is promised. An emulated guest is slow in all it does; a heap zeroes all of a buffer's memory in one system
# call that no signal ends, which takes 2 to 3 s there.
second=$(scaled 1000 4000)
if [[ ${DMABUFFS_SANITIZER-} ]]; then second=4000; fi # which costs as much
# Up to three times, the quickest counts: a machine that does something else as well is no fault of the mount's.
quickly() { # NAME COMMAND...: within a second
    local name=$1 start took
    shift
    for _ in 1 2 3; do
        start=$(ms)
        within 20 "$@" >/dev/null 2>&1 || { miss "$name" "failed: $*"; return; }
        took=$(($(ms) - start))
        ((took >= second)) || break
    done
    check "$name ($took ms)" test "$took" -lt "$second"
}
# What was tried beside a copy that had not begun, or had ended, says nothing.
still_copying() { check "$1: the copy runs still" kill -0 "$copy"; } # WHEN
# Quick to make, and with other bytes in each MiB. Allocated, because cp takes a sparse file apart: it would write the
# holes and copy_file_range only what is between them.
marked() { # FILE MIB
    fallocate -l "$2M" "$1"
    # shellcheck disable=SC2016 # the dollars are Perl's
    perl -e 'open(my $f, "+<", $ARGV[0]) or die;
        for my $at (0 .. $ARGV[1] - 1) { sysseek($f, $at * 1048576 + 4096 * ($at % 256), 0); syswrite($f, "mark $at\n" x 20) or die }' \
        "$1" "$2"
}
marked "$data/big" "$big"
echo small >"$heap/small" && echo other >"$heap/other"

# One copy after the other, so that there is one for as long as it takes to try.
copies() { until [[ -e $T/enough ]]; do cp "$files/big" "$heap/big" || return; done; }
copies &
copy=$!
check 'the copy has begun' begun "$heap/big"
sleep 0.2
quickly 'ls beside a copy' ls -l "$heap"
quickly 'rm beside a copy' rm -f "$heap/small"
quickly 'truncate beside a copy' truncate -s 100000 "$heap/other"
quickly 'status beside a copy' cat "$mnt/status"
quickly 'a new buffer beside a copy' sh -c "echo x >'$heap/new'"
quickly 'df beside a copy' df "$mnt"
still_copying 'after all that'
touch "$T/enough"
wait $copy
is 'the copy ends well' $? 0
same 'and is right' "$data/big" "$heap/big"

# Here too the quickest of three counts.
for _ in 1 2 3; do
    rm "$heap/big"
    # What a script starts in the background ignores SIGINT otherwise.
    env --default-signal=INT cp "$files/big" "$heap/big" &
    copy=$!
    check 'the copy has begun' begun "$heap/big"
    still_copying 'before it is interrupted'
    start=$(ms)
    kill -INT $copy
    wait $copy
    status=$? took=$(($(ms) - start))
    ((took >= second)) || break
done
is 'the copy ends by the signal' $status 130
check "within a second ($took ms)" test "$took" -lt "$second"
check 'what it left is not longer than what it stored' cmp -n "$(size_of "$heap/big")" "$data/big" "$heap/big"
rm "$heap/big"

# The source becomes shorter in mid-copy: to less than any copy has stored by then.
whole=$(scaled $((big / 2)) "$big")
marked "$data/shrinks" "$whole"
cp "$data/shrinks" "$outside/shrinks" # as it was
cp "$files/shrinks" "$heap/shrunk" &
copy=$!
check 'the copy has begun' begun "$heap/shrunk"
still_copying 'before its source is cut'
truncate -s $((5 * mib)) "$data/shrinks"
check 'a copy whose source becomes shorter ends' within 60 tail --pid=$copy -f /dev/null
wait $copy
is 'without an error, as with any file' $? 0
check 'it has what the source kept' test "$(size_of "$heap/shrunk")" -ge $((5 * mib))
check 'it never became longer than the source was' test "$(size_of "$heap/shrunk")" -le $((whole * mib))
check 'its first bytes are right' cmp -n $((5 * mib)) "$outside/shrinks" "$heap/shrunk"
# Beyond, a byte is of the source as it was or zero (the source was cut while it was read), never another's.
strange() { cmp -l "$outside/shrinks" "$heap/shrunk" 2>/dev/null | awk '$3 != 0' | head -n 1; }
is 'and no byte is of anything else' "$(strange)" ''
rm "$heap/shrunk"

cp "$files/big" "$heap/big"
# In a guest, or with a sanitizer, a cp would be done before anything else has started: its disk is fast, its processor is not.
if on_memfd && [[ ! ${DMABUFFS_SANITIZER-} ]]; then cp "$heap/big" "$files/out" & else dd if="$heap/big" of="$files/out" bs=256K status=none & fi
copy=$!
sleep 0.2
run within 30 "$DMABUFFS" umount "$mnt"
says 'a busy mount is not taken away' 1 'busy'
check 'it answers still' test -r "$mnt/status"
pid=$(daemon)
still_copying 'before umount --lazy'
check 'with --lazy it is' within 30 "$DMABUFFS" umount --lazy "$mnt"
check 'at once' refuses is_mounted "$mnt"
still_copying 'after umount --lazy'
check 'the copy goes on to its end' within 120 tail --pid=$copy -f /dev/null
wait $copy
is 'and ends well' $? 0
same 'with every byte' "$data/big" "$data/out"
check 'and the daemon ends with its last user' within 30 tail --pid="$pid" -f /dev/null
