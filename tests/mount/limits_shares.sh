#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What one user makes of names costs the others nothing: a daemon with few descriptors and little memory.
# timeout: 300
source "$(dirname "$0")/lib.sh"
((EUID == 0)) || { echo 'skip - needs root to become another user'; exit 77; }
as() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
chmod 755 "$T"
# Without CAP_SYS_RESOURCE the daemon can't raise its own limit.
check 'the mount' setpriv --bounding-set -sys_resource bash -c 'ulimit -n 400 && exec "$@"' - \
    "$DMABUFFS" mount -o allow_other "$mnt"
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
