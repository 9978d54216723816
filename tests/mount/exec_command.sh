#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `dmabuffs exec`: a private mount for one command, its status, signals, and that nothing is left over.
# timeout: 180
set -uo pipefail
[[ -x $DMABUFFS ]] || exit 1

failed=0
check() { # NAME COMMAND...: the command must succeed
    local name=$1
    shift
    if "$@"; then echo "ok - $name"; else echo "not ok - $name"; failed=1; fi
}
status_is() { # WANTED COMMAND...
    local wanted=$1 status=0
    shift
    "$@" || status=$?
    [[ $status == "$wanted" ]] || { echo "status $status instead of $wanted: $*" >&2; return 1; }
}
until_true() { # SECONDS COMMAND...
    local end=$((SECONDS + $1))
    shift
    until "$@"; do ((SECONDS < end)) || return 1; sleep 0.05; done
}

export XDG_RUNTIME_DIR=$T/runtime
mkdir -m 700 "$XDG_RUNTIME_DIR"
mkdir "$T/data"
head -c 300001 /dev/urandom >"$T/data/in"
run=("$DMABUFFS" exec)
left_over() { find "$XDG_RUNTIME_DIR" -name 'dmabuffs-exec.*' | grep . >/dev/null || grep -q "$XDG_RUNTIME_DIR/dmabuffs-exec" /proc/self/mountinfo; }
clean() { ! left_over; }
sockets() { find "$XDG_RUNTIME_DIR" /run/dmabuffs -name "*${T##*/}-runtime-dmabuffs-exec*.sock" 2>/dev/null | wc -l; } # root's are in /run
# Daemons of this test's own mounts.
daemon_runs() { pgrep -f -- "-o private,no_auto_unmount .*$XDG_RUNTIME_DIR/dmabuffs-exec" >/dev/null; }
no_daemon() { ! daemon_runs; }

check 'the command finds its mount in $DMABUFFS_MOUNT' \
    "${run[@]}" -- sh -c 'test -d "$DMABUFFS_MOUNT/heaps/memfd" && test -f "$DMABUFFS_MOUNT/status"'
check 'a file copied in and out is the same' "${run[@]}" --files "d=$T/data" -- sh -c '
    cp "$DMABUFFS_MOUNT/files/d/in" "$DMABUFFS_MOUNT/heaps/memfd/b" && cp "$DMABUFFS_MOUNT/heaps/memfd/b" "$DMABUFFS_MOUNT/files/d/out"'
check 'what it wrote through files/ is on the host' cmp "$T/data/in" "$T/data/out"
check '--files twice shows both directories' "${run[@]}" --files "a=$T/data" --files "b=$T" -- \
    sh -c 'test -d "$DMABUFFS_MOUNT/files/a" && test -d "$DMABUFFS_MOUNT/files/b"'
check '--heap shows that heap alone' "${run[@]}" --heap memfd -- sh -c '[ "$(ls "$DMABUFFS_MOUNT/heaps" | xargs)" = "import memfd" ]'
check 'the directory is gone afterwards' clean
check 'the daemon is gone afterwards' no_daemon
check 'the command has no capability that its caller lacks' \
    [ "$("${run[@]}" -- grep CapEff /proc/self/status)" == "$(grep CapEff /proc/self/status)" ]

check 'the exit status is the command'"'"'s' status_is 7 "${run[@]}" -- sh -c 'exit 7'
check 'also where who calls it ignores what becomes of children' status_is 7 env --ignore-signal=CHLD "${run[@]}" -- sh -c 'exit 7'
left=0
for _ in {1..30}; do # the next daemon removes those of dead ones
    "${run[@]}" true || ((++left))
    ((left += $(sockets)))
done
check "no control socket is left by one of thirty ($left)" [ "$left" = 0 ]
check 'a command that is not found: 127' status_is 127 "${run[@]}" -- "$T/none" 2>"$T/err"
touch "$T/plain"
check 'and so said' grep -qx "dmabuffs: exec: $T/none: not found" "$T/err"
check 'a command that is not executable: 126' status_is 126 "${run[@]}" -- "$T/plain" 2>/dev/null
check 'a command that a signal ended: 128 + its number' status_is 137 "${run[@]}" -- sh -c 'kill -9 $$'
check 'arguments arrive unchanged' \
    [ "$("${run[@]}" -- printf '<%s>' '[a,b]' -- --files '' 'x y')" == '<[a,b]><--><--files><><x y>' ]
check 'standard input and output are the command'"'"'s' [ "$(echo hello | "${run[@]}" -- cat)" == hello ]
check 'nothing is printed but what the command prints' [ -z "$("${run[@]}" -- true 2>&1)" ]

check 'without a command: 2' status_is 2 "${run[@]}" 2>/dev/null
check 'the command needs no --, and its options are its own' \
    [ "$("${run[@]}" --files "d=$T/data" sh -c 'ls "$DMABUFFS_MOUNT/files"; printf "<%s>" "$@"' - -x --files -- y)" == $'d\n<-x><--files><--><y>' ]
check 'an option before it that exec does not know: 2' status_is 2 "${run[@]}" --wrong true 2>"$T/err"
check 'is named' grep -q -- --wrong "$T/err"
check 'with an option mount does not know: 2' status_is 2 "${run[@]}" -o nonsense -- true 2>"$T/err"
check 'its name is told' grep -q nonsense "$T/err"
check 'a --files directory that is not there: 1' status_is 1 "${run[@]}" --files "$T/none" -- true 2>/dev/null
check 'failing leaves nothing over' clean

for signal in INT TERM HUP; do
    # The shell lets background jobs ignore SIGINT, which they would pass on.
    env --default-signal=INT "${run[@]}" -- bash -c "trap 'kill %1; exit 40' $signal; sleep 60 & echo up >'$T/up'; wait" &
    pid=$!
    until_true 20 test -s "$T/up"
    kill -s "$signal" "$pid"
    check "SIG$signal goes to the command" status_is 40 wait "$pid"
    rm -f "$T/up"
done

"${run[@]}" -- sh -c "echo \"\$\$\" >'$T/up'; exec sleep 60" &
pid=$!
until_true 20 test -s "$T/up"
command=$(<"$T/up")
check 'while it runs, so does a daemon of its own' daemon_runs
kill -9 "$pid"
wait "$pid" 2>/dev/null
check 'when exec is killed, the daemon ends' until_true 15 no_daemon
check 'when exec is killed, the command ends' until_true 15 bash -c "! kill -0 $command 2>/dev/null"
check 'when exec is killed, the directory goes' until_true 15 clean

check 'two at once do not disturb each other' bash -c '
    "$0" exec -- sh -c "cp \"$1/data/in\" \$DMABUFFS_MOUNT/heaps/memfd/x; sleep 1; cmp \"$1/data/in\" \$DMABUFFS_MOUNT/heaps/memfd/x" &
    "$0" exec -- sh -c "test ! -e \$DMABUFFS_MOUNT/heaps/memfd/x; sleep 1" && wait $!' "$DMABUFFS" "$T"

# The same as an ordinary user, who has no privilege at all.
if ((EUID == 0)); then
    user=(setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all env -u XDG_RUNTIME_DIR)
    if "${user[@]}" unshare -Um true 2>/dev/null; then
        chmod 0711 "$T"
        install -d -o 65534 -g 65534 "$T/theirs"
        "${user[@]}" cp "$T/data/in" "$T/theirs/in"
        check 'an ordinary user may do it' "${user[@]}" "${run[@]}" --files "d=$T/theirs" -- sh -c '
            cp "$DMABUFFS_MOUNT/files/d/in" "$DMABUFFS_MOUNT/heaps/memfd/b" && cp "$DMABUFFS_MOUNT/heaps/memfd/b" "$DMABUFFS_MOUNT/files/d/out"'
        is_silent() { [[ ! $("$@" 2>&1) ]]; }
        check 'which says nothing of its own' is_silent "${user[@]}" "${run[@]}" -- sh -c 'echo 1 >"$DMABUFFS_MOUNT/heaps/memfd/b"'
        check 'nor that passthrough is on, where it can never be' "${user[@]}" "${run[@]}" -- sh -c '
            test "$(jq -r .passthrough.state "$DMABUFFS_MOUNT/status")" = off'
        check 'and keeps his ids' [ "$("${user[@]}" "${run[@]}" -- id -u)" == 65534 ]
        check 'and gets no capability by it' \
            [ "$("${user[@]}" "${run[@]}" -- sed -n 's/^CapEff:\t//p' /proc/self/status)" == 0000000000000000 ]
        check 'and what he wrote is his' [ "$(stat -c %u "$T/theirs/out")" == 65534 ]
        check 'and nothing is left in /tmp' bash -c '! find /tmp -maxdepth 1 -name "dmabuffs-exec.*" -uid 65534 | grep -q .'
    else
        echo 'skip - user namespaces are not for ordinary users here'
    fi
fi
exit "$failed"
