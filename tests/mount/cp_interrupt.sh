#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Ctrl-C and other ends of dmabuffs cp: quickly, with the exit status of a signal, and nothing left running.
source "$(dirname "$0")/cp_common.bash"
mount_it
set -m # else bash makes the processes in the background deaf to SIGINT

# 1 TiB that takes no room: from a file outside to one of files/, so that it never ends by itself.
truncate -s 1T "$outside/huge"
target=$mnt/files/data/huge
moving() { [[ -s $data/huge ]]; }
wait_for() { for _ in {1..200}; do "$@" && return; sleep 0.05; done; return 1; }
still() { local size; size=$(stat -c %s "$data/huge") && sleep 0.3 && [[ $(stat -c %s "$data/huge") == "$size" ]]; }
milliseconds() { date +%s%3N; }

interrupt() { # SIGNAL EXIT_STATUS
    rm -f "$data/huge"
    "$DMABUFFS" cp "$outside/huge" "$target" 2>"$T/errors" &
    local pid=$!
    wait_for moving
    if ! kill -0 $pid 2>/dev/null; then
        echo "skip - this file system copies a hole of 1 TiB at once"
        ended=1
        exit
    fi
    local start
    start=$(milliseconds)
    kill -"$1" $pid
    wait $pid 2>/dev/null
    local got=$?
    check "SIG$1 gives exit status $2" test $got = "$2"
    check "SIG$1 ends it within two seconds" test $(($(milliseconds) - start)) -lt 2000
    check "after SIG$1 the daemon's copy has ended too" wait_for still
}
interrupt INT 130
check 'what was copied stays, as with cp' test -s "$data/huge"
interrupt TERM 143
interrupt KILL 137

"$DMABUFFS" cp "$outside/huge" "$heap/huge" >"$T/out" 2>&1
says_no_room() { grep -q "$heap/huge" "$T/out" && ! moving_buffer; }
moving_buffer() { [[ $(stat -c %b "$heap/huge") -gt 1000000 ]]; }
check 'a file larger than the memory is refused before anything is copied' says_no_room

rm -f "$data/huge"
mkfifo "$outside/pipe"
exec 7<>"$outside/pipe" # a writer that never writes
"$DMABUFFS" cp "$outside/pipe" "$heap/pipe" 2>"$T/errors" &
pid=$!
sleep 0.3
kill -INT $pid
wait $pid
check 'a copy that waits for a pipe can be interrupted' test $? = 130
check 'which needs no message' test ! -s "$T/errors"

# On Ctrl-C a shell ends its loop only if what it ran died by the signal.
# shellcheck disable=SC2016 # for the inner shell
bash -c '"$1" cp "$2" "$3"; touch "$4"' - "$DMABUFFS" "$outside/pipe" "$heap/fifo" "$T/went-on" 2>>"$T/errors" &
pid=$!
sleep 0.5
kill -INT -- -$pid
wait $pid
exec 7>&-
check 'a script ends with the copy that Ctrl-C ended' test ! -e "$T/went-on"

printf x >"$outside/x"
check 'the mount goes on working' "$DMABUFFS" cp "$outside/x" "$heap/x"
rm -f "$data/huge"
ended=1
