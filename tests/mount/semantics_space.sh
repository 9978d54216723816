#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What df, stat and status say is what the mount holds.
source "$(dirname "$0")/lib.sh"
mount_it -o size=1G
used() { df --output=used -B1 "$mnt" | tail -n 1 | xargs; }
becomes() { # NAME WANTED COMMAND...: what is freed may be freed a moment later
    local name=$1 wanted=$2
    shift 2
    for _ in {1..50}; do [[ $("$@") == "$wanted" ]] && break; sleep 0.1; done
    is "$name" "$("$@")" "$wanted"
}
heap_row() { jq -c '.heaps[] | select(.name == "memfd") | [.buffers, .bytes]' "$mnt/status"; }
mib=$((1 << 20))

is 'df shows the size that was asked for' "$(df --output=size -B1 "$mnt" | tail -n 1 | xargs)" $((1 << 30))
is 'an empty mount uses nothing' "$(used)" 0
is 'an empty heap has no buffers' "$(heap_row)" '[0,0]'
random $((10 * mib)) >"$heap/a"
becomes 'what is written is used' $((10 * mib)) used
random 5000 >"$heap/b"
becomes 'in whole pages' $((10 * mib + 8192)) used
fallocate -l $((20 * mib)) "$heap/c"
becomes 'what is allocated is used' $((30 * mib + 8192)) used
cp "$heap/a" "$files/a" && cp "$files/a" "$heap/d"
becomes 'so is what is copied in directly' $((40 * mib + 8192)) used
is 'status counts the buffers and their bytes' "$(heap_row)" "[4,$((40 * mib + 8192))]"
is 'du counts the same' "$(du -B1 -s "$heap" | cut -f1)" $((40 * mib + 8192))
is 'stat: the size is exact' "$(size_of "$heap/b")" 5000
is 'stat: the blocks are the pages held' "$(stat -c %b "$heap/b")" 16
check 'stat: the block size is made for large pieces' test "$(stat -c %o "$heap/a")" -ge $mib
check 'and not larger than 4 MiB' test "$(stat -c %o "$heap/a")" -le $((4 * mib))
truncate -s 1 "$heap/a"
becomes 'truncate gives back' $((30 * mib + 8192 + 4096)) used
rm "$heap/a" "$heap/b"
becomes 'rm gives back' $((30 * mib)) used
: >"$heap/c"
becomes 'O_TRUNC gives back' $((10 * mib)) used
rm "$heap/c" "$heap/d"
becomes 'an empty mount uses nothing, again' 0 used
is 'and status counts none' "$(heap_row)" '[0,0]'
truncate -s $((20 * mib)) "$heap/sparse"
printf 'data' | dd of="$heap/sparse" bs=1 seek=$((10 * mib)) conv=notrunc status=none
becomes 'a sparse buffer counts by its length, for its holes may be filled' $((20 * mib)) used
is 'du tells what it takes' "$(du -B1 "$heap/sparse" | cut -f1)" 4096
cp "$heap/sparse" "$heap/sparse2" && cp "$heap/sparse" "$files/sparse" && cp "$heap/sparse" "$outside/sparse"
for copy in "$heap/sparse2" "$files/sparse" "$outside/sparse"; do
    same "cp has the bytes of a sparse buffer: ${copy##*/}" "$heap/sparse" "$copy"
    check "and its holes" test "$(du -B1 "$copy" | cut -f1)" -le 8192
done
is 'reading its holes filled none' "$(du -B1 "$heap/sparse" | cut -f1)" 4096
# Every byte of it, by copy_file_range and by the control socket.
for copy in "$heap/sparse3" "$data/sparse3"; do
    check "dmabuffs cp of a sparse buffer: ${copy%/*}" "$DMABUFFS" cp "$heap/sparse" "$copy"
    same "has its bytes: ${copy%/*}" "$heap/sparse" "$copy"
done
check 'and cp --sparse=never' cp --sparse=never "$heap/sparse" "$files/sparse4"
same 'has its bytes, too' "$heap/sparse" "$data/sparse4"
is 'copying its holes as zeros filled none' "$(du -B1 "$heap/sparse" | cut -f1)" 4096
rm "$heap"/sparse*
becomes 'an empty mount uses nothing, once more' 0 used
is 'df counts free files' "$(df --output=iavail "$mnt" | tail -n 1 | grep -c '[0-9]')" 1
