#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The daemon stays small, whatever it did: beside the buffers themselves (shared memory) it holds 48 MiB at most.
# timeout: 600
source "$(dirname "$0")/lib.sh"
if [[ ${DMABUFFS_SANITIZER-} ]]; then
    echo 'skip - a sanitizer takes memory of its own, for every byte that is watched'
    exit 77
fi
mount_it -o size=4G
mib=$((1 << 20)) limit=$((48 * 1024))
held() { awk '/^Rss(Anon|File):/ { kib += $2 } END { print kib }' "/proc/$(daemon)/status"; }
small() { # NAME: after that
    local kib
    kib=$(held)
    check "the daemon is small after $1 ($((kib / 1024)) MiB)" test "$kib" -le $limit
}
ms() { echo $(($(date +%s%N) / 1000000)); }
small 'its start'

truncate -s 2G "$data/big" && random $((64 * mib)) | dd of="$data/big" bs=1M seek=1000 conv=notrunc status=none
cp --sparse=never "$files/big" "$heap/big" && cp --sparse=never "$heap/big" "$files/back"
check '2 GiB come back as they went' cmp -n $((1100 * mib)) "$data/big" "$data/back"
small 'copying 2 GiB in and out'
rm "$heap/big" "$data/big" "$data/back"

random $((16 * mib)) >"$data/part"
for ((i = 0; i < 64; i++)); do dd if="$data/part" of="$heap/dd$i" bs=1M status=none & done
wait
for ((i = 0; i < 64; i++)); do dd if="$heap/dd$i" of=/dev/null bs=1M status=none & done
wait
same 'what 64 wrote at once is right' "$data/part" "$heap/dd63"
small '64 readers and writers at once'
rm "$heap"/dd*
for ((i = 0; i < 16; i++)); do cp "$files/part" "$heap/cp$i" & done
wait
for ((i = 0; i < 16; i++)); do cp "$heap/cp$i" "$files/cp$i" & done
wait
same 'what 16 copied at once is right' "$data/part" "$data/cp15"
small '16 copies at once'
rm "$heap"/cp* "$data"/cp*

count=10000
(cd "$heap" && for ((i = 0; i < count; i++)); do echo "$i" >"$i"; done)
small "$count buffers"
for _ in {1..5}; do cat "$mnt/status" >"$outside/status"; done
is 'status lists each' "$(jq '.buffers | length' "$outside/status")" $count
cat "$mnt/status" >/dev/null & cat "$mnt/status" >/dev/null & cat "$mnt/status" >/dev/null &
wait
small "reading the status of $count buffers several times"
start=$(ms)
for _ in {1..50}; do stat "$mnt/status" >/dev/null; done
check "asking for the attributes of status does not make it ($((($(ms) - start) / 50)) ms)" test $(($(ms) - start)) -lt 2500
touch "$heap/one more"
is 'who opens it is told the size of what he reads' "$(wc -c <"$mnt/status")" "$(dd if="$mnt/status" bs=64K status=none | wc -c)"
before=$(jq .through_daemon.read_bytes "$mnt/status")
"$DMABUFFS" info --json "$heap/1" >/dev/null
after=$(jq .through_daemon.read_bytes "$mnt/status")
size=$(wc -c <"$outside/status")
check 'info does not read the whole status to find the socket' test $((after - before)) -lt $((size * 3 / 2))
