#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Nobody is handed a buffer's memory who could not open its file for reading and writing: the kernel judges.
# timeout: 300
source "$(dirname "$0")/lib.sh"
examples=$(cd "$(dirname "$0")/../../docs/examples" && pwd)
((EUID == 0)) || { echo 'skip - needs root to become another user'; exit 77; }
chmod 755 "$T"
cd "$T" || exit
mount_it -o allow_other
stranger() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
member() { setpriv --reuid 65533 --regid 65534 --clear-groups "$@"; }
make() { # MODE OWNER: a buffer
    rm -f "$heap/b"
    random 5000 >"$heap/b"
    chown "$2" "$heap/b"
    chmod "$1" "$heap/b"
}
gets() { "$@" "$DMABUFFS" exec "$heap/b" -- true 2>err; }
given() { make "$2" "$3"; check "$1 ($2, of $3)" gets "${@:4}"; }
refused() { # NAME MODE OWNER RUN-AS...
    make "$2" "$3"
    run gets "${@:4}"
    is "$1 ($2, of $3)" "$status $(grep -c 'ermission denied; a buffer.s memory is for who may both read and write its file' err)" '1 1'
}
given 'the owner of a buffer gets its memory' 0600 65534:65534 stranger
refused 'not who may only read it' 0400 65534:65534 stranger
refused 'nor who may only write it' 0200 65534:65534 stranger
refused 'another does not' 0600 0:0 stranger
refused 'nor may others that only read it' 0644 0:0 stranger
refused 'or only write it' 0622 0:0 stranger
given 'others that may do both do' 0666 0:0 stranger
given 'and so does the group' 0660 0:65534 member
refused 'but not one that may only read it' 0640 0:65534 member
refused 'the owner is not the group' 0060 65533:65534 member
given 'root does, whatever the mode' 0000 65534:65534 env
refused 'but not without the capability' 0600 65534:65534 setpriv --bounding-set -all --inh-caps -all
# There are none in a chroot.
if stranger unshare -Ur true 2>/dev/null; then
    refused 'the root of a user namespace is who made that' 0600 0:0 stranger unshare -Ur
    given "who owns the file does, also where the mount's owner has no number" 0600 65534:65534 stranger unshare -Ur
fi

make 0666 0:0
mkdir bound
if mount --bind "$mnt" bound && mount -o remount,bind,ro bound; then
    run "$DMABUFFS" exec "bound/heaps/memfd/b" -- true
    says 'by way of a read-only bind mount nobody does' 1 'Read-only file system'
    umount bound
else
    miss 'a read-only bind mount'
fi

# libmount of Debian 13 otherwise names the options of now, which FUSE takes for changes.
if mount -i -o remount,ro --options-mode=ignore "$mnt"; then
    run "$DMABUFFS" exec "$heap/b" -- true
    says 'nor in a mount that is read-only' 1 'Read-only file system'
    mount -i -o remount,rw --options-mode=ignore "$mnt"
else
    miss 'a read-only mount'
fi

# By hand: what a ticket is for is what its descriptor may do.
cat >by_hand.py <<'EOF'
import fcntl, json, os, socket, sys
path, status = sys.argv[1:]
os.setgroups([]); os.setgid(65534); os.setuid(65534)
def ask(flags):
    file = os.open(path, flags)
    try:
        ticket = fcntl.ioctl(file, 0x8010DB01, bytes(16)).hex()
    except OSError as error:
        os.close(file) # or it is one that has the buffer open
        return error.strerror
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as daemon:
        daemon.connect(json.load(open(status))['socket'])
        daemon.send(json.dumps({'op': 'descriptor', 'file': {'ticket': ticket}}).encode())
        reply, fds, _, _ = socket.recv_fds(daemon, 65536, 4)
        again = {'op': 'descriptor', 'file': {'ticket': ticket}}
        daemon.send(json.dumps(again).encode())
        second = json.loads(daemon.recv(65536))
        os.close(file)
        return json.loads(reply).get('code', 'ok'), len(fds), second.get('code', 'ok')
print(ask(os.O_RDONLY), ask(os.O_WRONLY), ask(os.O_PATH), ask(os.O_RDWR))
EOF
is 'a ticket of an open for less gives none, one of O_PATH there is not, and each is good once' \
    "$(python3 by_hand.py "$heap/b" "$mnt/status")" "('EBADF', 0, 'ESTALE') ('EBADF', 0, 'ESTALE') Bad file descriptor ('ok', 1, 'ESTALE')"

# Who is handed memory and removes its file has it counted until it is let go.
cat >hoard.py <<'EOF'
import os, sys
sys.path.insert(0, sys.argv[2])
from dmabuffs import Buffer
os.setgroups([]); os.setgid(65534); os.setuid(65534)
held = []
try:
    while len(held) < 100:
        path = f'{sys.argv[1]}/hoard{len(held)}'
        with open(path, 'wb') as file:
            file.truncate(1 << 20)
        held.append(Buffer(path))
        os.unlink(path)
except OSError as error:
    print(len(held), error.strerror)
sys.stdin.read()
EOF
"$DMABUFFS" umount "$mnt"
mount_it -o allow_other,size=64M
coproc hoarder { python3 hoard.py "$heap" "$examples"; }
# shellcheck disable=SC2154 # coproc sets it
pid=$hoarder_PID
read -r -t 120 had problem <&"${hoarder[0]}"
is "what a user hoards ends at that user's share" "$problem" 'No space left on device'
check "which is half of the mount ($had MiB)" test "$had" -le 32
check 'the owner has the rest' sh -c 'head -c 16M /dev/zero >"$1"' - "$heap/own"
eval "exec ${hoarder[1]}>&-"
wait "$pid"
for _ in {1..30}; do stranger sh -c 'head -c 20M /dev/zero >"$1"' - "$heap/again" 2>/dev/null && break; sleep 0.1; done
is 'and what was let go is there again' "$(size_of "$heap/again")" $((20 << 20))
