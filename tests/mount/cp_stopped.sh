#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A daemon that is stopped (SIGSTOP): no command waits for it without a limit, and each says what is the matter.
# timeout: 400
source "$(dirname "$0")/cp_common.bash"
# A thread that is left behind in the kernel would keep the search for leaks waiting at the program's end.
export ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0
mount_it
daemon=$(jq .pid "$mnt/status") socket=$(jq -r .socket "$mnt/status")
head -c 100000 /dev/urandom >"$outside/a"
"$DMABUFFS" cp "$outside/a" "$heap/a"
trap 'kill -CONT "$daemon"; finish' EXIT
kill -STOP "$daemon"
remedy="(process $daemon) is stopped; \`kill -CONT $daemon\` lets it go on"
run timeout -s KILL 100 "$DMABUFFS" status "$mnt"
says 'status names the stopped daemon and the remedy' 1 "$remedy"
run timeout -s KILL 100 "$DMABUFFS" info "$heap/a"
says 'so does info' 1 "$remedy"
run timeout -s KILL 100 "$DMABUFFS" cp "$outside/a" "$heap/b"
says 'so does cp into it' 1 "$remedy"
run timeout -s KILL 100 "$DMABUFFS" cp "$heap/a" "$outside/b"
says 'and cp out of it' 1 "$remedy"
run timeout -s KILL 100 "$DMABUFFS" socket "$mnt"
says 'and socket' 1 "$remedy"
run timeout -s KILL 100 "$DMABUFFS" import --fd 0 "$mnt/heaps/import/a"
says 'and import' 1 "$remedy"
for signal in INT TERM; do
    SECONDS=0
    run timeout --foreground -s $signal 1 "$DMABUFFS" info "$heap/a"
    check "who waits for it can be ended (SIG$signal, $SECONDS s)" test "$status $((SECONDS < 5))" = '124 1'
done
"$DMABUFFS" info "$heap/a" >"$T/said" 2>&1 &
waiting=$!
sleep 2
# shellcheck disable=SC2046 # numbers
ticks=$(printf '/proc/%s/stat\n' $(pgrep -f "^$DMABUFFS info $heap/a") | xargs awk '{ used += $14 + $15 } END { print used }')
check "and costs no time of the CPU meanwhile ($ticks ticks)" test "$ticks" -lt 50 # of 200 each
kill -STOP $waiting
is_stopped() { [[ -d /proc/$waiting/task ]] && ! grep -h '^State:' /proc/$waiting/task/*/status | grep -qv 'State:.T'; } # each of its threads
for _ in {1..50}; do is_stopped && break; sleep 0.1; done
check 'or be stopped, as by Ctrl-Z' is_stopped
kill -CONT $waiting
wait $waiting
is 'and goes on' "$? $(grep -cF "$remedy" "$T/said")" '1 1'
run "$DMABUFFS" cp "$outside/a" "$data/none" "$heap/"
says 'several files' 1 "$remedy"
run timeout -s KILL 100 "$DMABUFFS" ps
says 'ps shows the rest, and says what it does not' 0 "$mnt does not answer: its buffers are not shown by their paths"
# Asked is the daemon itself: the kernel has just been told all attributes.
kill -CONT "$daemon"
mkdir "$T/other" "$data/dir"
"$DMABUFFS" mount "$T/other"
fresh() { # look at it, and stop it at once
    kill -CONT "$daemon"
    stat "$heap/a" "$mnt" "$data/dir" "$mnt/files/data/dir" >/dev/null
    kill -STOP "$daemon"
    # Each thread stops when it comes to run.
    for _ in {1..200}; do
        sed 's/.*) //' "/proc/$daemon"/task/*/stat | grep -qv ^T || break
        sleep 0.05
    done
}
fresh
run timeout -s KILL 100 "$DMABUFFS" info "$heap/a"
says 'info asks the daemon, not what the kernel remembers' 1 "$remedy"
fresh
run timeout -s KILL 100 "$DMABUFFS" exec "$heap/a" -- true
says 'so does exec' 1 "of the mount at $mnt: its daemon $remedy"
fresh
if [[ ! ${DMABUFFS_SANITIZER-} ]]; then # whose library Python would have to start with
    run timeout -s KILL 100 python3 -c '
import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
library.dmabuffs_error.restype = ctypes.c_char_p
fd = library.dmabuffs_open(sys.argv[2].encode(), 0, None)
print(library.dmabuffs_error().decode())
sys.exit(fd == -1)' "$DMABUFFS_BUILD/libdmabuffs.so" "$heap/a"
    says 'and libdmabuffs' 1 "$remedy"
fi
ln -s "$mnt" "$T/link"
run timeout -s KILL 100 "$DMABUFFS" exec "$T/link/heaps/memfd/none" -- true
says 'by whatever way' 1 "$remedy"
for place in "$mnt/files/data/dir" "$mnt"; do
    fresh
    run timeout -s KILL 100 "$DMABUFFS" mount "$place"
    says "no mount is made on ${place#"$T/"}" 1 "$remedy"
done
run timeout -s KILL 100 "$DMABUFFS" mount --files "x=$mnt/files/data/dir" "$T/other"
says 'nor of what lies in it' 1 "$remedy"
run timeout -s KILL 100 "$DMABUFFS" cp "$outside/a" "$T/other/heaps/memfd/a"
says 'other mounts are not asked' 0 ''
fresh
timeout -s KILL 2 "$DMABUFFS" mount "$mnt/files/data/dir" 2>/dev/null
kill -CONT "$daemon"
sleep 1
check 'who gave up finds no mount later' refuses grep -qF "files/data/dir" /proc/self/mountinfo
"$DMABUFFS" umount "$T/other"
kill -STOP "$daemon"
cat "$heap/a" >/dev/null & # waits in open(2): /proc does not show that it holds the mount
waiting=$!
sleep 1
run timeout -s KILL 100 "$DMABUFFS" umount "$mnt"
says 'umount says that its users wait for a stopped daemon' 1 "$remedy"
run timeout -s KILL 100 "$DMABUFFS" umount "$T/link"
says 'also by a symbolic link' 1 "busy; in use by who waits for it: its daemon $remedy"
run timeout -s KILL 100 "$DMABUFFS" umount "$mnt/files/data/dir"
says 'nor does it wait for a mount that leads to another' 1 "$remedy"
mv "$socket" "${socket%/*}/hidden"
run timeout -s KILL 100 "$DMABUFFS" umount "$mnt"
says 'also where nobody finds its socket' 1 'who waits for it: its daemon does not answer'
mv "${socket%/*}/hidden" "$socket"
kill -CONT "$daemon"
wait "$waiting"
run timeout -s KILL 100 "$DMABUFFS" cp "$outside/a" "$heap/b"
check 'it goes on' cmp "$outside/a" "$heap/b"

# Stopped in the middle of a copy: 4 GiB of hole.
truncate -s 4G "$outside/huge"
"$DMABUFFS" cp "$outside/huge" "$mnt/files/data/huge" >"$T/said" 2>&1 &
copying=$!
for ((i = 0; i < 100; ++i)); do
    [[ -s $data/huge ]] && break
    sleep 0.05
done
kill -STOP "$daemon"
for ((i = 0; i < 900; ++i)); do
    [[ -s $T/said ]] && break
    sleep 0.1
done
# It can't end before: the kernel has the file closed with an answer of the daemon's.
check 'a copy whose daemon is stopped says so' grep -qF "$remedy" "$T/said"
kill -CONT "$daemon"
check 'and fails' refuses wait "$copying"
ended=1
