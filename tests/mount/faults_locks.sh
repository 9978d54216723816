#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Any number of processes that wait for a file lock keep nobody else waiting.
source "$(dirname "$0")/lib.sh"
mount_it
echo text >"$heap/locked" && echo text >"$data/locked"
waiters=()
trap 'kill "${waiters[@]}" 2>/dev/null; exec 8<&- 9<&-; finish' EXIT
exec 8<"$heap/locked" 9<"$files/locked"
flock 8 && flock 9
for ((i = 0; i < 40; i++)); do
    flock "$heap/locked" true & waiters+=($!)
    flock "$files/locked" true & waiters+=($!)
done
sleep 1
check 'beside 80 of them a file is written and closed' within 10 sh -c "echo new >'$heap/new' && echo new >'$files/new'"
check 'emptied' within 10 truncate -s 0 "$heap/new"
check 'and synced' within 10 sync "$files/new"
kill "${waiters[0]}" "${waiters[1]}"
check 'one that is killed ends' within 10 tail --pid="${waiters[0]}" -f /dev/null
flock -u 8 && flock -u 9
for ((i = 2; i < ${#waiters[@]}; i++)); do wait "${waiters[i]}" || { miss 'each gets the lock'; exit; }; done
pass 'each gets the lock when it is free'
# With somebody waiting the mount is taken away, and he gets an error.
flock 8
flock "$heap/locked" true 2>/dev/null & waiters+=($!)
last=$!
sleep 0.3
pid=$(daemon)
kill -TERM "$pid"
check 'the end of the mount ends the wait' within 20 tail --pid=$last -f /dev/null
check 'and the daemon ends' within 20 tail --pid="$pid" -f /dev/null
