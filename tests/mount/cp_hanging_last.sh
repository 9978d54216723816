#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Descriptors that wait in connections which the daemon refuses, or has not yet accepted, and that hang whoever lets them go
# last, uninterruptibly: what is written to their files never is. The daemon serves others, and ends.
# timeout: 400
source "$(dirname "$0")/cp_hanging.bash"
hang written

# All that run for the mount: the daemon, what it started, and what that started.
helpers() { pgrep -P "$daemon" && pgrep -P "$(pgrep -P "$daemon" | paste -sd,)"; }
files=0
# COUNT connections of UID, each with a request and a descriptor before anybody accepts it, while the processes STOPPED
# are. Only the connections hold the descriptors. $replies: the codes of the replies and of the ends, counted.
connect_with() { # UID COUNT STOPPED...
    local uid=$1 count=$2
    shift 2
    files=$((files + 1))
    : >"$T/said"
    kill -STOP "$@"
    setpriv --reuid "$uid" --clear-groups /usr/bin/python3 - "$T/hang/file$files" "$socket" "$count" >"$T/said" 2>&1 <<'PY' &
import collections, json, os, socket, sys
path, address, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
fds = [os.open(path, os.O_RDWR) for i in range(count)]
connections = []
for fd in fds:
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(100)
    s.connect(address)
    socket.send_fds(s, [b'{"op":"hello"}'], [fd])
    os.close(fd)
    connections.append(s)
written = os.open(path, os.O_RDWR)  # another open file: this process hangs at its end
os.write(written, b"x")
print("sent", flush=True)
said = collections.Counter()
def receive(s):
    while True:
        try:
            return s.recv(65536)
        except ConnectionResetError:  # comes before the last words of who left something unread
            pass
for s in connections:
    try:
        reply = receive(s)
        said[json.loads(reply).get("code", "ok") if reply else "end"] += 1
    except TimeoutError:
        said["nothing"] += 1
print(json.dumps(said, sort_keys=True), flush=True)
PY
    soon grep -q sent "$T/said"
    [[ -z $before_going_on ]] || "$before_going_on"
    kill -CONT "$@" 2>/dev/null
    soon grep -q '^{' "$T/said"
    replies=$(grep '^{' "$T/said")
}
before_going_on=

start -o allow_other
# shellcheck disable=SC2046  # several words
connect_with 65534 40 "$daemon" $(helpers)
check 'a user has 16 connections, and is refused more' test "$replies" = '{"EBUSY": 24, "ok": 16}'
for batch in {1..6}; do
    # shellcheck disable=SC2046
    connect_with 65534 50 "$daemon" $(helpers)
    check "those that hang are counted ($batch)" test "$replies" = '{"EBUSY": 50}'
done
check 'what waits is borne by a bounded number of processes' test "$(helpers | wc -l)" -le 24
check 'no thread of the daemon hangs' no_thread_hangs
head -c 100000 /dev/urandom >"$outside/a"
run timeout 60 "$DMABUFFS" cp "$outside/a" "$heap/a"
check 'root copies as before' cmp "$outside/a" "$heap/a"
run timeout 60 setpriv --reuid 65533 --regid 65533 --clear-groups "$DMABUFFS" cp /etc/passwd "$heap/b"
check 'and another user' cmp /etc/passwd "$heap/b"
run timeout 60 "$DMABUFFS" info "$heap/a"
check 'the socket serves on' test "$status" = 0

before_going_on=end_mount
# shellcheck disable=SC2046
connect_with 65533 30 $(helpers)
check 'whom nobody had accepted sees the end of the mount' test "$replies" = '{"end": 30}'

# Descriptors that hang nobody are closed: those of the mount's own files would keep it from ending.
before_going_on=
start -o allow_other
for file in "$mnt/status" /etc/passwd; do
    setpriv --reuid 65534 --clear-groups /usr/bin/python3 - "$file" "$socket" <<'PY'
import socket, sys
def connect():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(sys.argv[2])
    return s
with open(sys.argv[1]) as passed:
    held = []
    for i in range(16):
        held.append(connect())
        held[-1].send(b'{"op":"hello"}')
        held[-1].recv(65536)
    for i in range(300):
        with connect() as s:
            try:
                socket.send_fds(s, [b'{"op":"hello"}'], [passed.fileno()])
            except BrokenPipeError:  # refused already
                pass
PY
done
porter=$(pgrep -P "$daemon" porter)
few() { (($(find "/proc/$porter/fd" -maxdepth 1 | wc -l) < 30)); }
check 'what hangs nobody is let go' soon few
run timeout 60 "$DMABUFFS" status "$mnt"
check 'and the socket serves on' test "$status" = 0
end_mount

start
# shellcheck disable=SC2046
connect_with 65534 50 "$daemon" $(helpers)
check 'whoever may not use a mount is refused' test "$replies" = '{"EACCES": 50}'
check 'by the same few processes' test "$(helpers | wc -l)" -le 6
run timeout 60 "$DMABUFFS" cp "$outside/a" "$heap/a"
check 'its owner copies as before' cmp "$outside/a" "$heap/a"
end_mount
mount_it
ended=1
