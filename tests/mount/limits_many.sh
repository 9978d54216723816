#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Ten thousand buffers: the last cost what the first did, and nothing of them stays.
# timeout: 300
source "$(dirname "$0")/lib.sh"
mount_it
count=10000
now() { date +%s%N; }
cd "$heap" || exit 1
make() { for ((i = $1; i < $1 + 1000; i++)); do echo "$i" >"$i" || return 1; done; }
costs() { # COMMAND FIRST: nanoseconds
    local start
    start=$(now)
    "$1" "$2" || return 1
    echo $(($(now) - start))
}
remove() { for ((i = $1; i < $1 + 1000; i++)); do echo "$i"; done | xargs rm; }

first=$(costs make 0)
for ((at = 1000; at < count - 1000; at += 1000)); do make "$at"; done
last=$(costs make $((count - 1000)))
# A machine that does something else as well: once more, the better counts.
if ((last > 2 * first)); then
    remove $((count - 1000)) && last=$(costs make $((count - 1000)))
fi
is 'all are there' "$(find . -type f | wc -l)" $count
# A cost that grows with the number of buffers would be ten times as much; the rest is the machine's noise.
check "the last thousand cost about what the first did ($((last / 1000000)) and $((first / 1000000)) ms)" test "$last" -le $((5 * first))
is 'status counts them' "$(jq '.heaps[] | select(.name == "memfd") | .buffers' "$mnt/status")" $count
is 'they are told apart' "$(cat 0 4711 9999 | xargs)" '0 4711 9999'
check 'ls lists them within seconds' within 20 sh -c 'ls -l >/dev/null'
check 'they can be removed' within 60 find . -type f -delete
is 'none is left' "$(ls | wc -l)" 0
for _ in {1..100}; do [[ $(find "/proc/$(daemon)/fd" | wc -l) -gt 100 ]] || break; sleep 0.1; done
check 'the daemon closed their descriptors' test "$(find "/proc/$(daemon)/fd" | wc -l)" -le 100
is 'df counts nothing' "$(df --output=used -B1 "$mnt" | tail -n 1 | xargs)" 0
