#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# tar, rsync, split and install work on buffers as on files.
source "$(dirname "$0")/lib.sh"
mount_it
mkdir -p "$outside/tree/sub/empty"
random 1500001 >"$outside/tree/a"
random 4096 >"$outside/tree/sub/b"
: >"$outside/tree/sub/nothing"
truncate -s 700000 "$outside/tree/sub/holes" && printf end >>"$outside/tree/sub/holes"

tar cf - -C "$outside" tree | tar xf - -C "$heap"
check 'tar puts a tree into a heap' diff -r "$outside/tree" "$heap/tree"
tar cf "$outside/archive.tar" -C "$heap" tree && mkdir "$outside/out" && tar xf "$outside/archive.tar" -C "$outside/out"
check 'and takes one out' diff -r "$outside/tree" "$outside/out/tree"
tar cSf - -C "$outside" tree | tar xf - --overwrite -C "$heap"
check 'tar -S over what is there' diff -r "$outside/tree" "$heap/tree"
is 'modes come along' "$(cd "$heap" && find tree -printf '%p %m\n' | sort)" "$(cd "$outside" && find tree -printf '%p %m\n' | sort)"
tar cf "$heap/archive.tar" -C "$outside" tree
check 'an archive may be a buffer itself' tar df "$heap/archive.tar" -C "$outside"
rm -rf "$heap/tree"
check 'rm -r removes it all' refuses stat "$heap/tree"

touch -d 2001-02-03T04:05:06.789 "$outside/tree/a"
cp -a "$outside/tree" "$heap"
check 'cp -a' diff -r "$outside/tree" "$heap/tree"
is 'keeps the times' "$(stat -c %y "$heap/tree/a")" "$(stat -c %y "$outside/tree/a")"

if command -v rsync >/dev/null; then
    rsync -a "$outside/tree/" "$heap/synced/"
    check 'rsync into a heap' diff -r "$outside/tree" "$heap/synced"
    is 'finds nothing to do the second time' "$(rsync -ai "$outside/tree/" "$heap/synced/")" ''
    printf 'changed' | dd of="$outside/tree/a" bs=1 seek=700000 conv=notrunc status=none
    truncate -s 1000000 "$outside/tree/sub/holes"
    rsync -a --checksum --inplace --no-whole-file "$outside/tree/" "$heap/synced/"
    check 'rsync --inplace' diff -r "$outside/tree" "$heap/synced"
    printf 'again' | dd of="$outside/tree/a" bs=1 seek=5 conv=notrunc status=none
    rsync -a --checksum --inplace --sparse "$outside/tree/" "$heap/synced/"
    check 'rsync --inplace --sparse' diff -r "$outside/tree" "$heap/synced"
    rsync -a --delete "$heap/synced/" "$outside/back/"
    check 'rsync out of a heap' diff -r "$heap/synced" "$outside/back"
fi

split -b 400000 "$outside/tree/a" "$heap/part."
check 'split makes buffers' test "$(ls "$heap"/part.* | wc -l)" = 4
check 'that are the whole together' cmp "$outside/tree/a" <(cat "$heap"/part.*)
install -m 640 "$outside/tree/a" "$heap/installed"
same 'install' "$outside/tree/a" "$heap/installed"
is 'gives the mode' "$(stat -c %a "$heap/installed")" 640
install -m 640 "$outside/tree/sub/b" "$heap/installed"
same 'install over it' "$outside/tree/sub/b" "$heap/installed"
