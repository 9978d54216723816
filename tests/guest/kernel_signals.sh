#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A program with an interval timer interrupts each of its copies: into real dma-bufs, too, they come to an end.
# vm: --memory 3072 --scratch 2G
# timeout: 300
source "$(dirname "$0")/common.bash"

make_disk
echo 2048 >$size_limit
make_source "$disk/x" $((96 << 20))
copies() { # HEAP...
    local heap us
    for heap in "$@"; do
        for us in 10000 2000; do
            drop_caches
            run timeout 60 "$tools/timer-copy" "$mnt/files/d/x" "$mnt/heaps/$heap/y" $us
            says "$heap: a load ends under a timer of $us us" 0 calls
            echo "# $out"
            check "$heap: with the bytes of its source" cmp "$disk/x" "$mnt/heaps/$heap/y"
            rm "$mnt/heaps/$heap/y"
        done
    done
}
mount_it --files d="$disk"
copies system udmabuf
check 'unmount' unmount_it
load_module
mount_it --files d="$disk"
copies direct system
equals 'all of it by the kernel, ends aside' "$(moved | jq -r 'keys | map(select(. != "bounce-direct")) | join(" ")')" kernel-direct
check 'unmount, again' unmount_it
exit $failed
