#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Part "opened" of load.sh; runs in the Debian 13 guest. What passes the daemon by the kernel module's regular files
# over dma-bufs, against the same on tmpfs.
source "$(dirname "$0")/common.bash"

insmod "$MODULES/$(uname -r)/dmabuf_file.ko"
mount_it /mnt/buf -o recycle=0
mkdir -p /mnt/memory /mnt/another
mount -t tmpfs tmpfs /mnt/memory
# Within one tmpfs cp has the kernel copy, which can't be had between two file systems.
mount -t tmpfs tmpfs /mnt/another
head -c 16M /dev/urandom >/mnt/memory/part
for ((i = 0; i < 16; i++)); do cat /mnt/memory/part; done >/mnt/memory/x
rm /mnt/memory/part
printf 'guest (QEMU, TCG): kernel %s, %s CPUs, %s MiB, %s runs\n' "$(uname -r)" "$(nproc)" \
    "$(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo)" "$RUNS"

declare -A places=([tmpfs]=/mnt/memory ['another tmpfs']=/mnt/another [system]=/mnt/buf/heaps/system [direct]=/mnt/buf/heaps/direct)
for ((run = 0; run < RUNS; run++)); do
    for place in tmpfs 'another tmpfs' system direct; do
        y=${places[$place]}/y
        timed "$place: cp into it" cp /mnt/memory/x "$y"
        timed "$place: cat" cat "$y"
        timed "$place: cp out of it" cp "$y" /mnt/memory/z
        timed "$place: dd over it" dd if=/mnt/memory/x of="$y" bs=1M conv=notrunc status=none
        rm "$y" /mnt/memory/z
    done
done 2>/dev/null
heading '256 MiB, all in memory, files opened anew each time'
for what in cat 'cp out of it' 'cp into it' 'dd over it'; do
    row "tmpfs: $what"
    row "another tmpfs: $what" "tmpfs: $what"
    for place in system direct; do row "$place: $what" "tmpfs: $what" 1.3; done
done
heading 'the same copies, against those from one tmpfs to another'
for what in 'cp out of it' 'cp into it'; do
    for place in system direct; do row "$place: $what" "another tmpfs: $what" 1.3; done
done
jq -c .passthrough "$mnt/status"
"$DMABUFFS" umount "$mnt"
