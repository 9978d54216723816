#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What `info` and `status` tell of real dma-bufs, and what `dmabuffs cp` reports when one can't be made.
# vm: --scratch 1G
source "$(dirname "$0")/common.bash"
make_disk
mount_it

head -c 3000000 /dev/urandom >"$disk/a"
for heap in udmabuf system; do
    "$DMABUFFS" cp --no-progress "$disk/a" "$mnt/heaps/$heap/frame"
    info=$("$DMABUFFS" info --json "$mnt/heaps/$heap/frame")
    equals "$heap: info tells of a dma-buf" "$(jq -c '.[0] | [.is_dmabuf, .heap, .exporter, .name, .size]' <<<"$info")" \
        "[true,\"$heap\",\"$heap\",\"frame\",3000000]"
    inode=$(jq '.[0].inode' <<<"$info")
    check "$heap: the inode is that of a dma-buf which the daemon holds" \
        grep -qs "^ino:[[:space:]]*$inode\$" /proc/"$daemon"/fdinfo/*
    equals "$heap: status counts its bytes as held by a dma-buf heap" \
        "$(jq -c ".heaps[] | select(.name == \"$heap\") | [.is_dmabuf, .buffers, .bytes >= 3000000]" "$mnt/status")" \
        '[true,1,true]'
    run "$DMABUFFS" info "$mnt/heaps/$heap/frame"
    says "$heap: info names the inode for people" 0 "inode $inode, exporter $heap, name frame"
done
: >"$mnt/heaps/udmabuf/empty"
run "$DMABUFFS" info "$mnt/heaps/udmabuf/empty"
says 'an empty buffer is no dma-buf yet' 0 'not yet'

# Making the dma-buf fails: the copy must not succeed.
echo 1 >"$size_limit"
run "$DMABUFFS" cp --no-progress "$disk/a" "$mnt/heaps/udmabuf/refused"
says 'a dma-buf that the kernel does not make fails the copy, with the remedy' 1 'size_limit_mb'
unmount_it
exit $failed
