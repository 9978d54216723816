#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Descriptors whose close(2) never returns, passed to the control socket: the daemon serves on, and ends.
# timeout: 300
source "$(dirname "$0")/cp_common.bash"
if ((EUID)); then
    trap - EXIT
    echo 'skip - only root mounts a FUSE file system that the daemon may open'
    exit
fi
chmod 755 "$T"
mkdir "$T/hang"
"$DMABUFFS_BUILD/tests/hanging-fuse" "$T/hang" &
server=$!
# Its death lets go whoever hangs there.
trap 'kill -9 "$server"; umount -l "$T/hang"; finish' EXIT
for ((i = 0; i < 100; ++i)); do
    [[ -e $T/hang/file ]] && break
    sleep 0.1
done
mount_it -o allow_other
daemon=$(jq .pid "$mnt/status")
truncate -s 4096 "$heap/to"

ended() { [[ ! $(ps -o stat= -p "$daemon") =~ ^[^Z] ]]; } # a zombie has ended, its parent is only slow
# Sends the descriptor COUNT times, each by a connection of its own; $out is how many replies were as they should be. The
# process that sends hangs when it ends, too: nobody waits for it.
pass_it() { # UID REQUEST COUNT
    : >"$T/said"
    setpriv --reuid "$1" --clear-groups /usr/bin/python3 - "$T/hang/file" "$heap/to" "$socket" "$2" "$3" >"$T/said" 2>&1 <<'PY' &
import fcntl, json, os, socket, sys
path, to, address, request, count = sys.argv[1:]
fd, replies = os.open(path, os.O_RDONLY), 0
for i in range(int(count)):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(60)
    s.connect(address)
    body = json.loads(request)
    if body["op"] == "copy":
        target = os.open(to, os.O_WRONLY)
        ticket = fcntl.ioctl(target, 0x8010DB01, bytes(16)).hex()
        body.update({"from": {"fd": 0}, "to": {"ticket": ticket}})
    try:
        socket.send_fds(s, [json.dumps(body).encode()], [fd])
    except BrokenPipeError:  # refused, which is said before
        pass
    try:
        said = s.recv(65536)
    except ConnectionResetError:  # comes before the last words of a daemon that left something unread
        said = s.recv(65536)
    reply = json.loads(said)
    replies += reply["ok"] if body["op"] == "hello" else "FUSE" in reply["message"] or reply["code"] == "EBUSY"
    s.close()
    if body["op"] == "copy":
        os.close(target)  # or it is held by this process, which hangs at its end
print(replies, flush=True)
os.kill(os.getpid(), 9)
PY
    for ((i = 0; i < 1200; ++i)); do
        [[ -s $T/said ]] && break
        sleep 0.1
    done
    out=$(<"$T/said")
}
socket=$("$DMABUFFS" socket "$mnt")
chmod 666 "$heap/to"
pass_it 65534 '{"op":"hello"}' 10
check 'a message that uses no descriptor is answered whatever came with it' test "$out" = 10
pass_it 65534 '{"op":"copy"}' 40
check 'a file on FUSE is refused to a stranger' test "$out" = 40
pass_it 0 '{"op":"copy"}' 10
check 'and to root' test "$out" = 10
check 'no descriptor of it is in the daemon' refuses bash -c "ls -l /proc/$daemon/fd | grep -q '$T/hang'"
check 'no thread of the daemon hangs' refuses bash -c "grep -l '^State:.D' /proc/$daemon/task/*/status | grep -q ."
run timeout 60 "$DMABUFFS" info "$heap/to"
check 'the socket serves on' test "$status" = 0
head -c 100000 /dev/urandom >"$outside/a"
run timeout 60 "$DMABUFFS" cp "$outside/a" "$heap/a"
check 'others copy as before' cmp "$outside/a" "$heap/a"
run timeout 60 "$DMABUFFS" umount "$mnt"
check 'the mount goes' test "$status" = 0
for ((i = 0; i < 100; ++i)); do
    ended && break
    sleep 0.1
done
check 'and its daemon ends, with all that it held' ended
mount_it
ended=1
