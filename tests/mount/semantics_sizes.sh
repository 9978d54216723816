#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A file is as long as what was put in: odd sizes, both ways, from the mount and from outside.
source "$(dirname "$0")/lib.sh"
mount_it

random 4200000 >"$outside/bytes"
# A guest takes ten times as long, and tests/guest/semantics.sh has the other sizes.
for size in $(scaled '0 1 511 512 513 4095 4096 4097 1048577 2097151 2097152 2097153' '0 1 4097 2097153'); do
    head -c "$size" "$outside/bytes" >"$outside/in"
    cp "$outside/in" "$data/in"
    cp "$files/in" "$heap/direct" && cp "$heap/direct" "$files/out"
    same "$size bytes by cp from files/" "$outside/in" "$heap/direct"
    same "$size bytes by cp to files/" "$outside/in" "$data/out"
    cp "$outside/in" "$heap/plain" && cp "$heap/plain" "$outside/out"
    same "$size bytes by cp from outside" "$outside/in" "$heap/plain"
    same "$size bytes by cp to the outside" "$outside/in" "$outside/out"
    cp "$heap/plain" "$heap/twin"
    same "$size bytes by cp between buffers" "$outside/in" "$heap/twin"
    # The next, longer or shorter, goes over what is there now.
    cp "$outside/bytes" "$data/out"
    ((size % 2)) && cp "$outside/bytes" "$heap/direct"
    rm "$heap/twin"
done

truncate -s 3000001 "$outside/sparse" && printf end >>"$outside/sparse"
cp "$outside/sparse" "$data/sparse"
cp "$data/sparse" "$data/plain" --sparse=never
for source in "$outside/sparse" "$files/sparse" "$files/plain"; do
    for way in $(scaled 'auto always never' 'auto never'); do
        cp "$outside/bytes" "$heap/old"
        cp --sparse="$way" "$source" "$heap/old"
        same "cp --sparse=$way ${source#"$T"/} over old bytes" "$outside/sparse" "$heap/old"
        cp --sparse="$way" "$heap/old" "$files/back"
        same "and cp --sparse=$way of it to files/" "$outside/sparse" "$data/back"
        rm -f "$heap/old" "$files/back"
        cp --sparse="$way" "$source" "$heap/old"
        same "cp --sparse=$way ${source#"$T"/} to a new name" "$outside/sparse" "$heap/old"
    done
done
truncate -s 5000000 "$heap/hole"
cp "$heap/hole" "$outside/hole"
check 'a buffer nobody wrote to is copied as zeros' cmp -n 5000000 "$outside/hole" /dev/zero
is 'of its length' "$(size_of "$outside/hole")" 5000000
