#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The daemon is killed: nobody hangs, and the next mount works.
# timeout: 180
source "$(dirname "$0")/lib.sh"
ended() { # PID: within ten seconds
    for _ in {1..100}; do kill -0 "$1" 2>/dev/null || return 0; sleep 0.1; done
    return 1
}
fallocate -l 3G "$data/big" # a sparse file cp would write, not copy_file_range
for way in '' '-o no_auto_unmount'; do
    # shellcheck disable=SC2086 # no option or two words
    mount_it $way
    pid=$(daemon)
    cp "$files/big" "$heap/big" 2>/dev/null &
    copy=$!
    check "a copy has begun ($way)" begun "$heap/big"
    kill -9 "$pid"
    check "a cp whose daemon is killed ends ($way)" ended $copy
    wait $copy && miss 'and tells of it' || pass 'and tells of it'
    check 'the daemon is gone' ended "$pid"
    if [[ $way ]]; then
        check 'without auto_unmount the mount is still there' is_mounted "$mnt"
        run ls "$mnt"
        says 'and dead' 2 'not connected'
        run "$DMABUFFS" cp "$0" "$DMABUFFS" "$heap/"
        says 'as several files for it are told, too' 1 "$heap/: the mount's daemon has died"
        umount "$mnt" 2>/dev/null || fusermount3 -u "$mnt"
        mount_it -o no_auto_unmount
        mkdir -p "$T/many" && head -c 8M /dev/urandom | split -b 4096 - "$T/many/"
        pid=$(daemon)
        (begun "$heap/many" && kill -9 "$pid") &
        run "$DMABUFFS" cp -r "$T/many" "$heap/many"
        says 'dmabuffs cp -r whose daemon is killed says why the rest is not copied' 1 "the mount's daemon has died"
        is 'once' "$(wc -l <<<"$out")" 1
    else
        for _ in {1..50}; do is_mounted "$mnt" || break; sleep 0.1; done
        check 'auto_unmount took the mount away' refuses is_mounted "$mnt"
    fi
    mount_it
    check 'the next mount is made at the same place' test -r "$mnt/status"
    is 'once' "$(grep -c "$T/a.040mount" /proc/self/mountinfo)" 1
    echo works >"$heap/works"
    is 'and works' "$(cat "$heap/works")" works
    "$DMABUFFS" umount "$mnt"
done
mount_it
kill -9 "$(daemon)"
mount_it # at once, beside what takes the dead mount away
sleep 1
check 'a mount in the moment of a daemon'\''s death stays' test -r "$mnt/status"
is 'and is the only one' "$(grep -c "$T/a.040mount" /proc/self/mountinfo)" 1
"$DMABUFFS" umount "$mnt"

# The dead mount goes away (as auto_unmount does it) after a new one saw it in the table and before it asks it.
mount_it -o no_auto_unmount
kill -9 "$(daemon)"
# The leak sanitizer can't look at who is traced.
ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 setsid strace -f -D -o "$T/trace" -e inject=statx:delay_enter=1s:when=1 \
    "$DMABUFFS" mount "$mnt" 2>"$T/log" &
mounting=$!
for _ in {1..100}; do grep -qs mountinfo "$T/trace" && break; sleep 0.05; done
sleep 0.3
umount -l "$mnt"
wait $mounting
is 'a mount that goes away while it is asked is not in the way' "$? $(cat "$T/log")" '0 '
check 'and the new one is there' test -r "$mnt/status"
"$DMABUFFS" umount "$mnt"

for number in 1 2; do
    "$DMABUFFS" mount "$mnt" 2>"$T/at once $number" &
done
wait
is 'of two mount commands at once one mounts' "$(grep -c "$T/a.040mount" /proc/self/mountinfo)" 1
check 'and the other one is told' grep -q 'is there already' "$T/at once 1" "$T/at once 2"
# A daemon that is stopped when it has taken a request and not answered it: nobody can kill who waits for that.
pid=$(daemon)
strace -f -p "$pid" -o "$T/trace" -e trace=read -e inject=read:delay_exit=4s 2>"$T/log" &
tracing=$!
traced() { grep -q 'TracerPid:.*[1-9]' /proc/"$pid"/task/*/status; }
for _ in {1..100}; do traced && break; sleep 0.1; done
# The search for leaks waits for the thread that waits for this.
ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 within 30 "$DMABUFFS" socket "$mnt" 2>&1 | within 40 cat >"$T/out" &
asking=$!
sleep 2
kill -STOP "$pid"
sleep 3
kill "$tracing"
wait "$asking"
is 'who asks a daemon that is stopped in mid-request is told, and ends, also for who reads that' \
    "$? $(grep -c "(process $pid) is stopped" "$T/out")" '1 1'
left=$(pgrep -f "^$DMABUFFS socket $mnt")
is 'what it asked is left waiting' "$(wc -w <<<"$left")" 1
run within 30 "$DMABUFFS" socket "$mnt"
says 'and the next one is told, too' 1 "(process $pid) is stopped"
kill -CONT "$pid"
check 'until the daemon goes on' ended "$left"
check 'which answers again' within 30 "$DMABUFFS" socket "$mnt"
"$DMABUFFS" umount "$mnt"

mount_it -o no_auto_unmount
pid=$(daemon)
kill -TERM "$pid"
check 'SIGTERM ends the daemon' ended "$pid"
check 'and its mount' refuses is_mounted "$mnt"

# In the foreground, as a service manager runs it: READY=1 when it is usable, exit 0 when it is told to end.
listening="$T/notify listening"
# shellcheck disable=SC2016 # the dollars are Perl's
perl -MSocket -e 'socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die "$!";
    bind($s, pack_sockaddr_un($ARGV[0])) or die "$!";
    open(my $l, ">", $ARGV[1]) or die "$!"; $SIG{ALRM} = sub { exit 1 }; alarm(30);
    recv($s, my $text, 4096, 0); print $text' "$T/notify" "$listening" >"$T/said" &
listener=$!
for _ in {1..100}; do [[ -e $listening ]] && break; sleep 0.1; done
NOTIFY_SOCKET=$T/notify "$DMABUFFS" mount -f --files data="$data" "$mnt" 2>"$T/log" &
pid=$!
check 'mount -f tells NOTIFY_SOCKET' ended $listener
is 'that it is ready' "$(head -n 1 "$T/said")" 'READY=1'
check 'and it is' test -r "$mnt/status"
is 'it stays the process that was started' "$(daemon)" $pid
cp "$files/big" "$heap/big" 2>"$T/cp" &
copy=$!
check 'a copy has begun' begun "$heap/big"
check 'and runs still' kill -0 $copy
start=$(date +%s%N)
kill -TERM $pid
# A second for the piece that runs; the machine's other work gets another one.
check 'on SIGTERM the copy ends' within 30 tail --pid=$copy -f /dev/null
took=$((($(date +%s%N) - start) / 1000000))
check "within a second or so ($took ms)" test $took -lt 2000
wait $copy
is 'with an error' $? 1
check "that says so: $(tail -n 1 "$T/cp")" test -s "$T/cp"
check 'the daemon ends' within 30 tail --pid=$pid -f /dev/null
wait $pid
is 'with exit status 0' $? 0
check 'and its mount is gone' refuses is_mounted "$mnt"
