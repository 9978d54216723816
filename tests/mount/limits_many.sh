#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Ten thousand buffers: the last cost what the first did, and nothing of them stays.
# timeout: 300
source "$(dirname "$0")/lib.sh"
# What a login shell has on Debian. A buffer needs a descriptor, so the daemon must take all it may have.
ulimit -Sn 1024
if [[ $(ulimit -Hn) != unlimited ]] && (($(ulimit -Hn) < 12000)); then
    echo "skip - 10,000 buffers need as many descriptors, here a process may have $(ulimit -Hn)"
    exit 77
fi
mount_it
count=10000
now() { date +%s%N; }
cd "$heap" || exit 1
costs() { # COMMAND...: nanoseconds
    local start
    start=$(now)
    "$@" >/dev/null || return 1
    echo $(($(now) - start))
}
# Of three: the machine may do something else as well.
list_costs() { for _ in 1 2 3; do costs ls -l; done | sort -n | head -n 1; }
make() { for ((i = $1; i < $1 + 1000; i++)); do echo "$i" >"$i" || return 1; done; }
remove() { for ((i = $1; i < $1 + 1000; i++)); do echo "$i"; done | xargs rm; }
ms() { echo "$(($1 / 1000000)) ms"; }

first=$(costs make 0)
first_list=$(list_costs)
first_remove=$(costs remove 0)
make 0
for ((at = 1000; at < count - 1000; at += 1000)); do make "$at"; done
last=$(costs make $((count - 1000)))
last_list=$(list_costs)
last_remove=$(costs remove $((count - 1000)))
# Once more if it looks bad, the better counts.
again=$(costs make $((count - 1000)))
if ((again < last)); then last=$again; fi
if ((last_remove > 2 * first_remove)); then
    last_remove=$(costs remove $((count - 1000)))
    make $((count - 1000))
fi
is 'all are there' "$(find . -type f | wc -l)" $count
# A cost that grows with the number of buffers would be ten times as much; the rest is the machine's noise.
check "the last thousand cost about what the first did ($(ms "$last") and $(ms "$first"))" test "$last" -le $((5 * first))
check "so does removing them ($(ms "$last_remove") and $(ms "$first_remove"))" test "$last_remove" -le $((5 * first_remove))
# Ten times as many names are listed; were the cost of each to grow with their number, a hundred times.
check "a list of all costs about ten times that of a thousand ($(ms "$last_list") and $(ms "$first_list"))" \
    test "$last_list" -le $((40 * first_list))
is 'the daemon may have as many descriptors as its hard limit says' \
    "$(awk '/^Max open files/ { print ($4 == $5) }' "/proc/$(daemon)/limits")" 1
is 'status counts them' "$(jq '.heaps[] | select(.name == "memfd") | .buffers' "$mnt/status")" $count
is 'they are told apart' "$(cat 0 4711 9999 | xargs)" '0 4711 9999'
check 'ls lists them within seconds' within 20 sh -c 'ls -l >/dev/null'
check 'they can be removed' within 60 find . -type f -delete
is 'none is left' "$(ls | wc -l)" 0
for _ in {1..100}; do [[ $(find "/proc/$(daemon)/fd" | wc -l) -gt 100 ]] || break; sleep 0.1; done
check 'the daemon closed their descriptors' test "$(find "/proc/$(daemon)/fd" | wc -l)" -le 100
is 'df counts nothing' "$(df --output=used -B1 "$mnt" | tail -n 1 | xargs)" 0
