#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Part "first" of load.sh: as root, since it switches the huge pages of memory files.
source "$(dirname "$0")/common.bash"

file=$WORK/x
head -c 1G /dev/urandom >"$file"
sync "$file"
switch=/sys/kernel/mm/transparent_hugepage/shmem_enabled
before=$(sed 's/.*\[\(.*\)\].*/\1/' "$switch")
memory=$(mktemp -d /dev/shm/bench.XXXXXX)
trap 'echo "$before" >"$switch"; "$DMABUFFS" umount "$WORK/mnt" 2>/dev/null; rm -rf "$memory"' EXIT

fio_ms() { # read|write FILE [OPTION]...
    fio --name=x --rw="$1" --filename="$2" --bs=1M --size=1G --direct=1 --ioengine=io_uring --iodepth=16 \
        --output-format=json "${@:3}" | jq ".jobs[0].$1.runtime"
}
buffer=$WORK/mnt/heaps/memfd/x
# What begins a round waits for memory that the kernel may have given to a hypervisor: a load that is not counted.
load() { # never|advise
    local state=$1
    echo "$state" >"$switch"
    mount_it "$WORK/mnt" --files d="$WORK"
    cp "$mnt/files/d/x" "$buffer"
    "$DMABUFFS" umount "$mnt"
    mount_it "$WORK/mnt" --files d="$WORK"
    forget "$file"
    timed "$state: cp, first" cp "$mnt/files/d/x" "$buffer"
    timed "$state: cat" cat "$buffer" 2>/dev/null
    timed "$state: cp to disk, a new file" cp "$buffer" "$mnt/files/d/out"
    timed "$state: cp to disk, over it" cp "$buffer" "$mnt/files/d/out"
    rm "$buffer" "$mnt/files/d/out"
    forget "$file"
    timed "$state: cp, again" cp "$mnt/files/d/x" "$buffer"
    rm "$buffer"
    "$DMABUFFS" umount "$mnt"
    mount_it "$WORK/mnt" -o recycle=0
    cat "$file" >/dev/null
    timed "$state: cp from outside, warm" cp "$file" "$buffer"
    rm "$buffer"
    "$DMABUFFS" umount "$mnt"
}
for ((run = 0; run < RUNS; run++)); do
    forget "$file"
    add 'fio, read' "$(fio_ms read "$file")"
    load never
    load advise
    add 'fio, write' "$(fio_ms write "$WORK/fio.out" --overwrite=1)"
    cat "$file" >/dev/null
    timed 'tmpfs: cp from outside, warm' cp "$file" "$memory/z"
    timed 'tmpfs: cat' cat "$memory/z" 2>/dev/null
    rm "$memory/z"
done
heading '1 GiB and the memfd heap; shmem_enabled is'
row 'fio, read'
row 'never: cp, first' 'fio, read' 1.4
row 'advise: cp, first' 'fio, read' 1.0
for state in never advise; do row "$state: cp, again" 'fio, read' 1.0; done
row 'fio, write'
for state in never advise; do
    row "$state: cp to disk, a new file" 'fio, write' 1.1
    row "$state: cp to disk, over it" 'fio, write' 1.1
done
row 'tmpfs: cp from outside, warm'
for state in never advise; do row "$state: cp from outside, warm" 'tmpfs: cp from outside, warm' 1.2; done
row 'tmpfs: cat'
for state in never advise; do row "$state: cat" 'tmpfs: cat' 1.5; done
