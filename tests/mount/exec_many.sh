#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Ten thousand hand-outs: neither the daemon nor libdmabuffs keeps a descriptor.
# timeout: 300
source "$(dirname "$0")/lib.sh"
export PYTHONPATH
PYTHONPATH=$(cd "$(dirname "$0")/../.." && pwd)/docs/examples
mount_it -o size=64M
random 5000 >"$heap/buffer"
# A hundred in each connection, which costs as much as they do: it takes a process.
cat >"$T/ask.py" <<'END'
import fcntl, json, os, socket, sys
from dmabuffs import TICKET
path, address, connections = sys.argv[1], sys.argv[2], int(sys.argv[3])
got = 0
file = os.open(path, os.O_RDWR)
for _ in range(connections):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as daemon:
        daemon.connect(address)
        for _ in range(100):
            ticket = fcntl.ioctl(file, TICKET, bytes(16)).hex()
            daemon.send(json.dumps({"op": "descriptor", "file": {"ticket": ticket}}).encode())
            for fd in socket.recv_fds(daemon, 65536, 2)[1]:
                os.close(fd)
                got += 1
print(got)
END
cat >"$T/open.py" <<'END'
import ctypes, os, sys
library = ctypes.CDLL(sys.argv[1])
before = len(os.listdir("/proc/self/fd"))
for _ in range(100):
    os.close(library.dmabuffs_open(sys.argv[2].encode(), 0, None))
print(len(os.listdir("/proc/self/fd")) - before)
END
ask() { python3 "$T/ask.py" "$heap/buffer" "$(jq -r .socket "$mnt/status")" "$1"; }
descriptors() { find "/proc/$(daemon)/fd" -mindepth 1 ! -lname /dev/fuse 2>/dev/null | wc -l; } # each worker has one
ask 1 >/dev/null
before=$(descriptors)
is '10000 hand-outs' "$(ask 100)" 10000
if [[ ! ${DMABUFFS_SANITIZER-} ]]; then # whose library Python would have to start with
    is 'and 100 by libdmabuffs, which keeps none of them' \
        "$(python3 "$T/open.py" "$DMABUFFS_BUILD/libdmabuffs.so" "$heap/buffer")" 0
fi
for _ in {1..50}; do (($(descriptors) <= before)) && break; sleep 0.1; done
check 'leave no descriptor in the daemon' test "$(descriptors)" -le "$before"
is 'nobody holds the buffer any more' "$("$DMABUFFS" info --json "$heap/buffer" | jq '.[0].held_elsewhere')" false
