#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# -o size=: what does not fit is refused with a reason, what fitted is kept, and what was there is untouched.
source "$(dirname "$0")/lib.sh"
mount_it -o size=64M
mib=$((1 << 20))
used() { df --output=used -B1 "$mnt" | tail -n 1 | xargs; }
reason() { jq -r '[.. | strings] | join("\n")' "$mnt/status"; }

random $((40 * mib)) >"$outside/bytes"
cp "$outside/bytes" "$heap/kept"
run fallocate -l 30M "$heap/more"
says 'fallocate beyond the size fails' 1 'No space left'
check 'status tells why, and what helps' grep -q -- 'larger -o size=' <(reason)
is 'it took nothing' "$(used)" $((40 * mib))
run truncate -s 30M "$heap/more"
says 'so does truncate' 1 'No space left'
is 'it took nothing either' "$(used)" $((40 * mib))
is 'and left the size' "$(size_of "$heap/more")" 0
run cp "$outside/bytes" "$heap/more"
says 'so does cp' 1 'No space left'
check 'the file is not longer than what was stored' test "$(size_of "$heap/more")" -le $((24 * mib))
check 'what it has is right' cmp -n "$(size_of "$heap/more")" "$outside/bytes" "$heap/more"
: >"$heap/more"
cp "$outside/bytes" "$data/bytes"
run cp "$files/bytes" "$heap/more"
says 'so does cp from files/' 1 'No space left'
check 'which is not longer than what was stored, either' test "$(size_of "$heap/more")" -le $((24 * mib))
check 'and right' cmp -n "$(size_of "$heap/more")" "$outside/bytes" "$heap/more"
rm "$heap/more"
run dd if="$outside/bytes" of="$heap/more" bs=100003
says 'a write that does not fit ends with the bytes that do' 1 'No space left'
is 'which is all there is room for' "$(size_of "$heap/more")" $((24 * mib))
check 'they are right' cmp -n $((24 * mib)) "$outside/bytes" "$heap/more"
run sh -c "echo x >>'$heap/kept'"
check 'a full mount takes no byte more' test "$status" != 0
same 'and what was there is untouched' "$outside/bytes" "$heap/kept"
printf 'over' | dd of="$heap/kept" conv=notrunc status=none
check 'overwriting needs no room' cmp -n 4 "$heap/kept" <(printf over)
check 'names need none' mkdir "$heap/directory"
rm "$heap/more" "$heap/kept"
check 'what was removed can be used again' cp "$outside/bytes" "$heap/again"
same 'to the last byte' "$outside/bytes" "$heap/again"

# The kernel tells of a close and of an rm only after the caller has gone on: who comes at once finds the room, all the same.
"$DMABUFFS" umount "$mnt"
mount_it -o size=64M,recycle=0
head -c $((64 * mib)) /dev/zero >"$outside/full"
refused=0
for _ in {1..30}; do
    cat "$outside/full" >"$heap/x" || refused=$((refused + 1))
    rm "$heap/x"
done
is 'write all, rm, and again: always room' "$refused" 0
late=0
for _ in {1..20}; do
    cat "$outside/full" >"$heap/x"
    rm "$heap/x"
    [[ $(used) == 0 ]] || late=$((late + 1))
done
is 'df after rm shows it gone' "$late" 0
refused=0
for _ in {1..20}; do
    head -c $((32 * mib)) /dev/zero >"$heap/new" && mv "$heap/new" "$heap/x" || refused=$((refused + 1))
done
is 'nor is a rename over another refused' "$refused" 0
refused=0
for _ in {1..20}; do
    # open, rm, write, close: the close frees
    { rm -f "$heap/x"; head -c $((64 * mib)) /dev/zero; } >"$heap/x" || refused=$((refused + 1))
done
is 'nor is what follows the last close of a removed file' "$refused" 0

"$DMABUFFS" umount "$mnt"
"$DMABUFFS" mount -f -o size=1M --files data="$data" "$mnt" 2>"$T/log" &
for _ in {1..50}; do is_mounted "$mnt" && break; sleep 0.1; done
run cp "$files/bytes" "$heap/more"
check 'the log has the file and the reason' grep -q "^dmabuffs: warning: more: [0-9.]* MiB more would exceed the mount's size" "$T/log"
