#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A daemon in a cgroup that has less memory than a file needs: the copy is refused, the OOM killer stays away.
# vm: --memory 2048 --scratch 1G
# timeout: 300
source "$(dirname "$0")/common.bash"

make_disk
# A mark in each MiB, the rest is never written: quick to make, in an emulated guest. Not sparse: cp takes that apart.
# shellcheck disable=SC2016 # the dollars are Perl's
fallocate -l 300M "$disk/big"
perl -e 'open(my $f, "+<", $ARGV[0]) or die;
    for my $at (0 .. 299) { sysseek($f, $at << 20, 0); syswrite($f, "mark $at") or die }' "$disk/big"
head -c 30M "$disk/big" >"$disk/small"
sync
drop_caches
echo 2048 >$size_limit
group=/sys/fs/cgroup/limited
mkdir "$group"
echo 200M >"$group/memory.max"
echo 0 >"$group/memory.swap.max" 2>/dev/null
events() { awk '$1 ~ /^oom/ { sum += $2 } END { print sum }' "$group/memory.events"; }

mkdir -p "$mnt"
for heap in memfd udmabuf system; do
    # Only the daemon lives there: cp and its page cache are the machine's. One for each heap, should it not survive.
    (echo "$BASHPID" >"$group/cgroup.procs" && exec "$DMABUFFS" mount --files d="$disk" "$mnt") || {
        echo "not ok - $heap: the mount for this test"
        exit 1
    }
    daemon=$(jq .pid "$mnt/status")
    equals "$heap: the daemon is in the cgroup" "$(cut -d: -f3 "/proc/$daemon/cgroup")" /limited
    dir=$mnt/heaps/$heap
    run cp "$mnt/files/d/big" "$dir/inside"
    check "$heap: cp of more than the cgroup may have fails" test "$status" = 1
    check "$heap: with ENOMEM or ENOSPC (${out##*: })" grep -q 'Cannot allocate memory\|No space left' <<<"$out"
    check "$heap: and status says which limit it was" quiet \
        jq -e '.refused | any(.message | contains("memory.max"))' "$mnt/status"
    run cp "$disk/big" "$dir/outside"
    if [[ $heap == memfd && $(jq -r .passthrough.state "$mnt/status") == on ]]; then
        says "$heap: with passthrough cp itself makes the memory, and is no member of the cgroup" 0 ''
    else
        check "$heap: cp from outside fails too" test "$status" = 1
        check "$heap: with ENOMEM or ENOSPC, too (${out##*: })" grep -q 'Cannot allocate memory\|No space left' <<<"$out"
    fi
    run fallocate -l 300M "$dir/allocated"
    check "$heap: and fallocate (${out##*: })" grep -q 'Cannot allocate memory\|No space left' <<<"$out"
    check "$heap: what was stored is right" cmp -n "$(stat -c %s "$dir/outside" || echo none)" "$disk/big" "$dir/outside"
    # Else there may be no memory for the file itself, and open(2) has no words.
    rm -f "$dir"/{inside,outside,allocated}
    run "$DMABUFFS" cp --no-progress "$disk/big" "$dir/own"
    says "$heap: dmabuffs cp says it itself" 1 'memory.max'
    rm -f "$dir"/*
    check "$heap: what fits is copied" cp "$mnt/files/d/small" "$dir/small"
    check "$heap: and right" cmp "$disk/small" "$dir/small"
    rm "$dir/small"
    check "$heap: the daemon lives" kill -0 "$daemon"
    check "$heap: unmount" unmount_it
    for _ in {1..50}; do kill -0 "$daemon" 2>/dev/null || break; sleep 0.1; done
done
equals 'nothing in the cgroup met the OOM killer' "$(events)" 0
equals 'nor on the machine' "$(dmesg | grep -i 'out of memory\|killed process' | head -n 3)" ''
exit $failed
