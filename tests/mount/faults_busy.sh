#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Beside a big copy the mount answers; the copy can be stopped; the mount can be taken away under load.
source "$(dirname "$0")/lib.sh"
mount_it -o size=6G
mib=$((1 << 20))
ms() { echo $(($(date +%s%N) / 1000000)); }
quickly() { # NAME COMMAND...: within two seconds (pieces of one second, and the machine's other work)
    local name=$1 start
    start=$(ms)
    shift
    within 20 "$@" >/dev/null 2>&1 || { miss "$name" "failed: $*"; return; }
    check "$name ($(($(ms) - start)) ms)" test $(($(ms) - start)) -lt 2000
}
truncate -s 4G "$data/big"
echo small >"$heap/small"
# What a script starts in the background ignores SIGINT otherwise.
env --default-signal=INT cp --sparse=never "$files/big" "$heap/big" &
copy=$!
sleep 0.3
quickly 'ls beside a copy' ls -l "$heap"
quickly 'rm beside a copy' rm "$heap/small"
quickly 'status beside a copy' cat "$mnt/status"
quickly 'a new buffer beside a copy' sh -c "echo x >'$heap/new'"
quickly 'df beside a copy' df "$mnt"
if kill -INT $copy 2>/dev/null; then
    start=$(ms)
    wait $copy
    is 'the copy ends by the signal' $? 130
    check "soon ($(($(ms) - start)) ms)" test $(($(ms) - start)) -lt 2500
    check 'what it left is not longer than what it stored' cmp -n "$(size_of "$heap/big")" "$data/big" "$heap/big"
else
    wait $copy
    is 'the copy was quick' $? 0
fi
rm "$heap/big"

# The source becomes shorter in mid-copy.
random $((8 * mib)) >"$data/shrinks" && truncate -s 2G "$data/shrinks"
cp --sparse=never "$files/shrinks" "$heap/shrunk" &
copy=$!
sleep 0.1
truncate -s $((5 * mib)) "$data/shrinks"
check 'a copy whose source becomes shorter ends' within 60 tail --pid=$copy -f /dev/null
wait $copy
check 'its first bytes are right' cmp -n $((5 * mib)) "$data/shrinks" "$heap/shrunk"
check 'it never became longer than the source was' test "$(size_of "$heap/shrunk")" -le $((2048 * mib))
rm "$heap/shrunk"

cp --sparse=never "$files/big" "$heap/big" 2>/dev/null &
copy=$!
sleep 0.3
run within 30 "$DMABUFFS" umount "$mnt"
says 'a busy mount is not taken away' 1 'busy'
check 'it answers still' test -r "$mnt/status"
pid=$(daemon)
check 'with --lazy it is' within 30 "$DMABUFFS" umount --lazy "$mnt"
check 'at once' refuses is_mounted "$mnt"
check 'the copy goes on to its end' within 60 tail --pid=$copy -f /dev/null
wait $copy
check 'and the daemon ends with its last user' within 30 tail --pid="$pid" -f /dev/null
