#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `dmabuffs import` and heaps/import where there is no dma-buf: what is refused, and how. With real ones:
# tests/guest/import.sh.
# timeout: 300
source "$(dirname "$0")/lib.sh"
mount_it -o allow_other
cd "$T" || exit
import=$mnt/heaps/import
echo bytes >file
is 'heaps/import is there, for all' "$(stat -c %a "$import")" 1777

# A program that has all but a dma-buf open, each at a number of its own.
cat >holder <<'XEOF'
import os, socket, sys, time
os.dup2(os.memfd_create('bytes'), 10)
kept = socket.socketpair()
os.dup2(kept[0].fileno(), 11)
os.dup2(os.pipe()[0], 12)
if hasattr(os, 'eventfd'):
    os.dup2(os.eventfd(0), 13)
else:
    import ctypes
    os.dup2(ctypes.CDLL(None).eventfd(0, 0), 13)
os.dup2(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT), 14)
os.dup2(os.open(sys.argv[2], os.O_RDWR | os.O_CREAT), 15)
os.dup2(os.open('/dev/null', os.O_RDWR), 16)
print('ready', flush=True)
sys.stdin.read()
XEOF
coproc holder { exec python3 holder "$heap/on FUSE" "$T/file"; }
# shellcheck disable=SC2154 # coproc sets it
pid=$holder_PID
read -r -t 60 _ <&"${holder[0]}"
refused() { # NAME SENTENCE IMPORT-ARGUMENT...
    run "$DMABUFFS" import "${@:3}" "$import/new"
    says "$1" 1 "$2"
    check "$1: and no file is left" [ ! -e "$import/new" ]
}
refused 'a memfd' "import: $import/new: passed descriptor: /memfd:bytes (deleted) is no dma-buf" --pid "$pid" --fd 10
says 'a memfd: it is copied instead' 1 "; copy it: \`dmabuffs cp /proc/$pid/fd/10 $mnt/heaps/memfd/new\`"
check 'which works' "$DMABUFFS" cp "/proc/$pid/fd/10" "$mnt/heaps/memfd/copied"
refused 'a socket' 'passed descriptor: socket:[' --pid "$pid" --fd 11
is 'of which there is no copy' "${out/copy it/}" "$out"
refused 'a pipe' 'passed descriptor: pipe:[' --pid "$pid" --fd 12
refused 'an eventfd' 'passed descriptor: anon_inode:[eventfd] is no dma-buf' --pid "$pid" --fd 13
refused 'a FUSE file' 'on FUSE is no dma-buf' --pid "$pid" --fd 14
refused 'an ordinary file' "$T/file is no dma-buf; copy it: " --pid "$pid" --fd 15
refused 'a device' '/dev/null is no dma-buf' --pid "$pid" --fd 16
refused 'a number that is not open' "process $pid: it has no descriptor 99" --pid "$pid" --fd 99
refused 'a process that is none' 'process 999999999: there is none' --pid 999999999 --fd 3
refused 'a number of its own that is not open' 'descriptor 99: not open here; --pid names its owner' --fd 99
refused 'one of its own that is none' 'file is no dma-buf' --fd 9 9<"$T/file"
if ((EUID == 0)); then
    chmod 755 "$T"
    as() { setpriv --reuid 65534 --regid 65534 --clear-groups env -u XDG_RUNTIME_DIR "$@"; }
    run as "$DMABUFFS" import --pid "$pid" --fd 10 "$import/new"
    says "another user's process" 1 "process $pid: its descriptors are not yours to take"
    mkdir -m 755 "$import/mine"
    run as "$DMABUFFS" import --fd 9 "$import/mine/new" 9<"$T/file"
    says 'a directory that is not his to write' 1 'ermission denied'
fi

# Where.
echo x >"$heap/there"
place() { # NAME SENTENCE PATH
    run "$DMABUFFS" import --pid "$pid" --fd 10 "$3"
    says "$1" 1 "$2"
}
place 'a path in no mount' 'not in a dmabuffs mount' "$T/new"
place 'a directory that is not there' 'No such file or directory' "$import/none/new"
place 'a name that is taken' 'File exists' "$heap/there"
is 'which stays as it is' "$(cat "$heap/there")" x

# Only `import` makes files there.
run cp file "$import/new"
says 'cp makes none there' 1 'Operation not permitted'
is 'status says why' "$(jq -r '.refused[-1].message' "$mnt/status")" 'heaps/import: only `dmabuffs import` makes files here'
run "$DMABUFFS" cp file "$import/new"
says 'dmabuffs cp says why' 1 'in heaps/import only `dmabuffs import` makes files'
check 'nor does touch' refuses touch "$import/new"
check 'directories can be made there' mkdir "$import/directory"
check 'and links' ln -s directory "$import/link"
is 'nothing else is left' "$(find "$import" -mindepth 1 ! -name directory ! -name link ! -name mine)" ""
is 'it is charged to nobody' "$(jq -c '[.memory.imported, (.heaps[] | select(.name == "import") | .bytes)]' "$mnt/status")" '[0,0]'

# What passes the command by: an empty name, which the kernel lets anybody make, is no way to make a buffer.
check 'an empty name can be made' python3 -c 'import os, stat, sys; os.mknod(sys.argv[1], stat.S_IFREG | 0o600)' "$import/empty"
run dd if=file of="$import/empty" conv=notrunc status=none
says 'it takes no bytes' 1 'Operation not permitted'
run truncate -s 10 "$import/empty"
says 'nor a size' 1 'Operation not permitted'
run "$DMABUFFS" exec "$import/empty" -- true
says 'and has no dma-buf to hand out' 1 'no dma-buf was imported there yet'
cat >ask.py <<'XEOF'
import fcntl, json, os, socket, sys
status, path, other = sys.argv[1:]
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(json.load(open(status))["socket"])
def ask(path, fds, flags=os.O_RDWR, **more):
    file = os.open(path, flags)
    ticket = fcntl.ioctl(file, 0x8010DB01, bytes(16)).hex()
    socket.send_fds(s, [json.dumps({"op": "import", "file": {"ticket": ticket}, **more}).encode()], fds)
    reply = json.loads(s.recv(65536))
    print(reply["code"], reply["message"])
ask(path, [], fd=0)
ask(path, [], fd="x")
ask(path, [])
ask(path, [0, 1], fd=1)
ask(other, [], fd=0)
ask(path, [], os.O_RDONLY, fd=0)
socket.send_fds(s, [b'{"op":"import","file":{"ticket":"00"},"fd":0}'], [0])
print(json.loads(s.recv(65536))["code"])
XEOF
run python3 ask.py "$mnt/status" "$import/empty" "$heap/there" </dev/null
is 'the control socket refuses what is incomplete or no dma-buf' "$(cut -d ' ' -f 1 <<<"$out" | xargs)" 'EINVAL EINVAL EINVAL EINVAL EINVAL EBADF EINVAL'
check 'and the mount goes on' cmp <(echo x) "$heap/there"

# The library.
cat >library.py <<'XEOF'
import ctypes, os, sys
library = ctypes.CDLL(sys.argv[1], use_errno=True)
library.dmabuffs_error.restype = ctypes.c_char_p
for fd, flags in ((os.open('file', os.O_RDONLY), 0), (77, 0), (0, 8)):
    done = library.dmabuffs_import(fd, sys.argv[2].encode(), flags, None)
    print(done, os.strerror(ctypes.get_errno()), library.dmabuffs_error().decode())
XEOF
if [[ ! ${DMABUFFS_SANITIZER-} ]]; then # whose library Python would have to start with
    run python3 library.py "$DMABUFFS_BUILD/libdmabuffs.so" "$import/library"
    says 'dmabuffs_import refuses what is no dma-buf' 0 "-1 Invalid argument $import/library: passed descriptor: $T/file is no dma-buf"
    says 'a descriptor that is not open' 0 '-1 Bad file descriptor'
    says 'unknown flags' 0 'unknown flags'
fi
check 'and leaves no file' [ ! -e "$import/library" ]
run "$DMABUFFS" import "$import/new"
says 'without a descriptor: usage' 2 '--fd'
eval "exec ${holder[1]}>&-"
wait "$pid"
"$DMABUFFS" umount "$mnt"
mount_it -o ro
run "$DMABUFFS" import --fd 9 "$import/new" 9<"$T/file"
says 'a mount that is read-only' 1 'Read-only file system'
