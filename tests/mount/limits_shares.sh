#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What one user makes of names costs the others nothing: a daemon with few descriptors and little memory.
# timeout: 300
source "$(dirname "$0")/lib.sh"
((EUID == 0)) || { echo 'skip - needs root to become another user'; exit 77; }
as() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
chmod 755 "$T"
mkdir -p "$T/data/many"
# Without CAP_SYS_RESOURCE the daemon can't raise its own limit.
check 'the mount' setpriv --bounding-set -sys_resource bash -c 'ulimit -n 400 && exec "$@"' - \
    "$DMABUFFS" mount -o allow_other --files data="$T/data" "$mnt"

# Open files and directories of files/, held until its input ends. Prints the error that ends them.
cat >"$T/hold" <<'EOF'
import os, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
held = []
try:
    while len(held) < 400:
        held.append(os.open(sys.argv[1], os.O_RDONLY))
except OSError as error:
    print(error.strerror, flush=True)
sys.stdin.read()
EOF
echo shown >"$T/data/file"
for what in file many; do
    coproc stranger { python3 "$T/hold" "$mnt/files/data/$what"; }
    # shellcheck disable=SC2154 # coproc sets it
    pid=$stranger_PID
    read -r -t 60 problem <&"${stranger[0]}"
    is "what a user holds open in files/ ends at that user's share ($what)" "$problem" 'No space left on device'
    check 'while root opens files' grep -q shown "$mnt/files/data/file"
    # shellcheck disable=SC2016 # for the inner shell
    check 'and so does another user' setpriv --reuid 65533 --regid 65533 --clear-groups sh -c 'cat "$1/file" && ls "$1"' - "$mnt/files/data"
    check 'status names that share, too' jq -e '[.refused[].message] | any(contains("open files of user 65534"))' "$mnt/status"
    eval "exec ${stranger[1]}>&-"
    wait "$pid"
    for _ in {1..50}; do as cat "$mnt/files/data/file" >"$T/out" 2>&1 && break; sleep 0.1; done
    is 'what was closed may be opened again' "$(cat "$T/out")" shown
done

# Begins to list a large directory many times. Prints the KiB that the daemon grows by.
cat >"$T/list" <<'EOF'
import os, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
def memory():
    return int(next(line for line in open(f'/proc/{sys.argv[2]}/status') if line.startswith('VmRSS')).split()[1])
def begin():
    listing = os.scandir(sys.argv[1])
    next(listing)
    return listing
held = [begin() for _ in range(20)]
before = memory()
held += [begin() for _ in range(100)]
print(memory() - before)
EOF
install -d -o 65534 "$heap/many"
name='a name that is long, because names take memory, of the file whose number is'
for many in "$T/data/many" "$heap/many"; do
    seq -f "$many/$name %.0f" 3000 | tr '\n' '\0' | xargs -0 touch
done
for many in "$mnt/files/data/many" "$heap/many"; do
    is "all names are listed (${many#"$mnt"})" "$(as ls "$many" | sort -u | wc -l)" 3000
    grown=$(python3 "$T/list" "$many" "$(daemon)")
    # A sanitizer keeps what is freed.
    [[ ${DMABUFFS_SANITIZER-} ]] || check "open directories take little of the daemon's memory ($grown KiB)" test "$grown" -lt 12000
done
rm -r "$heap/many"

before=$(find "/proc/$(daemon)/fd" | wc -l)
install -d -o 65534 "$heap/theirs"
check "a user's empty files take none of the daemon's descriptors" \
    as sh -c 'cd "$1" && seq 2000 | xargs touch' - "$heap/theirs"
is 'they are there' "$(ls "$heap/theirs" | wc -l)" 2000
sleep 1 # the kernel tells of closes when it likes
check 'and the daemon holds no more than before' test "$(find "/proc/$(daemon)/fd" | wc -l)" -le $((before + 20))
as sh -c 'cd "$1" && for i in $(seq 400); do echo x >"$i" || exit; done' - "$heap/theirs" >"$T/out" 2>&1
check "those with bytes end at that user's share ($(tail -n 1 "$T/out"))" grep -q 'No space left' "$T/out"
check 'root makes another' sh -c 'echo mine >"$1" && grep -q mine "$1"' - "$heap/mine"
check 'and status names the share' jq -e '[.refused[].message] | any(contains("user 65534"))' "$mnt/status"
check 'one removed is one to make' as sh -c 'cd "$1" && rm 1 && echo again >2001' - "$heap/theirs"
for _ in {1..3}; do as mkdir -p "$heap/theirs/$(printf 'd/%.0s' {1..120})" 2>/dev/null; done
check 'status is answered beside deep directories' jq -e .buffers "$mnt/status"
