#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# However a daemon ends in mid-copy, and whatever a copy failed of: no dma-buf, no huge page and no memory is left.
# vm: --memory 3072 --scratch 2G
# timeout: 300
source "$(dirname "$0")/common.bash"

make_disk
mib=$((1 << 20))
echo 2048 >$size_limit
dd if=/dev/zero of="$disk/big" bs=1M count=768 status=none # written: of holes cp would make holes itself
check 'huge pages for the test' huge_pages 400

dmabufs() { # how many the kernel knows, and their bytes
    sed -n 's/^Total \([0-9]*\) objects, \([0-9]*\) bytes.*/\1 \2/p' /sys/kernel/debug/dma_buf/bufinfo
}
free_huge() { awk '/^HugePages_Free/ { print $2 }' /proc/meminfo; }
available() { awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo; }
ended() { # PID: within ten seconds
    for _ in {1..100}; do kill -0 "$1" 2>/dev/null || return 0; sleep 0.1; done
    return 1
}
[[ $(dmabufs) ]] || { echo 'not ok - the list of dma-bufs in debugfs'; exit 1; }
before_dmabufs='' before_huge='' before_available=0
note() {
    drop_caches
    before_dmabufs=$(dmabufs) before_huge=$(free_huge) before_available=$(available)
}
# What is freed may be freed a moment later. Far less memory than the copy had may be anybody's.
nothing_left() { # NAME
    for _ in {1..50}; do
        [[ $(dmabufs) == "$before_dmabufs" && $(free_huge) == "$before_huge" ]] && break
        sleep 0.2
    done
    equals "$1: no dma-buf is left" "$(dmabufs)" "$before_dmabufs"
    equals "$1: nor a huge page" "$(free_huge)" "$before_huge"
    drop_caches
    for _ in {1..20}; do (($(available) > before_available - 64)) && break; sleep 0.2; done
    check "$1: nor memory ($(available) of $before_available MiB available)" test "$(available)" -gt $((before_available - 64))
    check "$1: nor a mount" quiet refute mountpoint -q "$mnt"
}
refute() { ! "$@"; }
copy=''
copy_begins() { # HEAP: in the background, and has memory
    cp "$mnt/files/d/big" "$mnt/heaps/$1/big" 2>/dev/null &
    copy=$!
    for _ in {1..100}; do (($(jq .memory.used "$mnt/status") > 64 * mib)) && return; sleep 0.05; done
    return 1
}
for heap in udmabuf system memfd; do
    for signal in KILL TERM; do
        name="$heap, SIG$signal in mid-copy"
        note
        mount_it --files d="$disk"
        # A finished buffer beside it, and one that is open.
        echo finished >"$mnt/heaps/$heap/finished"
        check "$name: a copy runs" copy_begins $heap
        check "$name: in the middle" kill -0 "$copy"
        kill -s $signal "$daemon"
        check "$name: the daemon ends" ended "$daemon"
        check "$name: the copy ends" ended "$copy"
        wait "$copy"
        check "$name: and tells of it" test $? != 0
        for _ in {1..50}; do mountpoint -q "$mnt" || break; sleep 0.1; done
        nothing_left "$name"
    done

    name="$heap, no room"
    note
    mount_it --files d="$disk" -o size=100M
    run cp "$mnt/files/d/big" "$mnt/heaps/$heap/big"
    says "$name: cp fails" 1 'No space left'
    run cp "$disk/big" "$mnt/heaps/$heap/big"
    says "$name: from outside, too" 1 'No space left'
    rm -f "$mnt/heaps/$heap/big"
    check "$name: what fits fits" fallocate -l 90M "$mnt/heaps/$heap/fits"
    rm "$mnt/heaps/$heap/fits"
    check "$name: unmount" unmount_it
    check "$name: the daemon ends" ended "$daemon"
    nothing_left "$name"
done
exit $failed
