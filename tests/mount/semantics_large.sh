#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Beyond 4 GiB, where lengths stop fitting into 32 bits and the kernel cuts a copy_file_range.
# timeout: 400
source "$(dirname "$0")/lib.sh"
available() { awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo; }
if [[ ${DMABUFFS_SANITIZER-} == tsan ]]; then
    echo 'skip - the thread sanitizer takes four bytes more for each that is read'
    exit 77
fi
mount_it -o size=11G
five=$((5 << 30))

printf 'far' | dd of="$heap/far" bs=1 seek=$((five - 3)) status=none
is 'a byte can be written beyond 4 GiB' "$(size_of "$heap/far")" "$five"
is 'and read' "$(tail -c 3 "$heap/far")" far
check 'what lies between is not held' test "$(stat -c %b "$heap/far")" -lt 100000
rm "$heap/far"

if (($(available) < 9000)); then
    echo "skip - a copy of 5 GiB needs 9 GiB of memory, here are $(available) MiB"
    exit
fi
if (($(stat -fc '%a * %S' "$data") < 12 << 30)); then
    echo 'skip - a file of 5 GiB and its copy need 12 GiB of disk'
    exit
fi
# Allocated: of a sparse file cp writes the holes, and copy_file_range gets only what is between them.
fallocate -l $five "$data/source"
for at in 0 1073741823 2147479552 4294967295 $((five - 9)); do
    printf 'at %s' "$at" | head -c 9 | dd of="$data/source" bs=1 seek="$at" conv=notrunc status=none
done
marks() { for at in 0 1073741823 2147479552 4294967295 $((five - 9)); do dd if="$1" bs=1 skip="$at" count=9 status=none; done; }
check 'cp of 5 GiB' cp --sparse=never "$files/source" "$heap/source"
is 'has the size of its source' "$(size_of "$heap/source")" $five
is 'and its bytes at the places where numbers wrap' "$(marks "$heap/source")" "$(marks "$data/source")"
check 'and everywhere' cmp "$data/source" "$heap/source"
check 'cp back' cp --sparse=always "$heap/source" "$files/back"
is 'has the size' "$(size_of "$data/back")" $five
is 'and the bytes' "$(marks "$data/back")" "$(marks "$data/source")"
rm "$data/back"
# --sparse=always reads and writes; this is copy_file_range, every byte of it.
check 'cp back without holes' cp --sparse=never "$heap/source" "$files/back"
is 'has the size, too' "$(size_of "$data/back")" $five
check 'and every byte' cmp "$data/source" "$data/back"
rm "$data/back"
if (($(available) < 7000)); then
    echo "skip - a second buffer of 5 GiB needs 7 GiB of memory, here are $(available) MiB"
    exit
fi
check 'cp from buffer to buffer' cp --sparse=never "$heap/source" "$heap/twin"
is 'has the size as well' "$(size_of "$heap/twin")" $five
check 'and the bytes everywhere' cmp "$data/source" "$heap/twin"
rm "$heap/source" "$heap/twin" # now, not when the daemon ends: it takes a while
