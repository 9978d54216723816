#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Descriptors whose close(2) never returns, passed to the control socket: the daemon serves on, and ends.
# timeout: 300
source "$(dirname "$0")/cp_hanging.bash"
hang
start -o allow_other
truncate -s 4096 "$heap/to"

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
    replies += reply["ok"] if body["op"] == "hello" else "FUSE" in reply["message"] or "is no dma-buf" in reply["message"] or reply["code"] == "EBUSY"
    s.close()
    if body["op"] == "copy":
        os.close(target)  # or it is held by this process, which hangs at its end
print(replies, flush=True)
os.kill(os.getpid(), 9)
PY
    soon test -s "$T/said"
    out=$(<"$T/said")
}
chmod 666 "$heap/to"
pass_it 65534 '{"op":"hello"}' 10
check 'a message that uses no descriptor is answered whatever came with it' test "$out" = 10
pass_it 65534 '{"op":"copy"}' 40
check 'a file on FUSE is refused to a stranger' test "$out" = 40
pass_it 0 '{"op":"copy"}' 10
check 'and to root' test "$out" = 10
pass_it 65534 '{"op":"import"}' 10
check 'and is no dma-buf to import' test "$out" = 10
check 'no descriptor of it is in the daemon' refuses bash -c "ls -l /proc/$daemon/fd | grep -q '$T/hang'"
check 'no thread of the daemon hangs' no_thread_hangs
run timeout 60 "$DMABUFFS" info "$heap/to"
check 'the socket serves on' test "$status" = 0
head -c 100000 /dev/urandom >"$outside/a"
run timeout 60 "$DMABUFFS" cp "$outside/a" "$heap/a"
check 'others copy as before' cmp "$outside/a" "$heap/a"

if [[ ! ${DMABUFFS_SANITIZER-} ]]; then # whose library Python would have to start with
    : >"$T/said"
    timeout 100 python3 - "$T/hang/file" "$DMABUFFS_BUILD/libdmabuffs.so" "$heap/a" >"$T/said" 2>&1 <<'PY' &
import ctypes, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
library = ctypes.CDLL(sys.argv[2])
library.dmabuffs_error.restype = ctypes.c_char_p
print("has it" if library.dmabuffs_open(sys.argv[3].encode(), 0, None) >= 0 else library.dmabuffs_error().decode(), flush=True)
os.kill(os.getpid(), 9)
PY
    soon test -s "$T/said"
    out=$(<"$T/said") status=0
    says 'who has such a file open gets his buffers' 0 'has it'
fi
end_mount
mount_it
# Now that server is dead, and its files can't be read. It is none of ours.
kill -9 "$server"
mkdir "$outside/tree"
run "$DMABUFFS" cp "$T/hang/file" "$outside/a" "$heap/"
says 'a file of another dead mount is told of as such' 1 "cp: $T/hang/file: Transport endpoint is not connected"
check 'and the next one is copied' cmp "$outside/a" "$heap/a"
run "$DMABUFFS" mount --files "x=$T/hang" "$outside/tree"
says 'and so is its directory' 1 "$T/hang: Transport endpoint is not connected"
ended=1
