#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Which path dmabuffs cp takes, and --require-direct.
source "$(dirname "$0")/cp_common.bash"
mount_it
paths() { "$DMABUFFS" cp --json "$@" | jq -c .paths; }

head -c 8388608 /dev/urandom >"$outside/a"
sync "$outside/a"
# A file system that is memory (or knows no O_DIRECT) has no direct path; both are tested where both are there.
memory=$(mktemp -d /dev/shm/cp_direct.XXXXXX)
trap 'rm -rf "$memory"; finish' EXIT
if [[ $(stat -fc %T "$memory") == tmpfs ]]; then
    cp "$outside/a" "$memory/a"
    check 'from memory a buffer is filled by the page cache path' test "$(paths "$memory/a" "$heap/m")" = '{"buffered":8388608}'
    check 'and the reason is told' test -n "$("$DMABUFFS" cp --json "$memory/a" "$heap/m" | jq -r '.reasons[].why')"
    run "$DMABUFFS" cp --require-direct "$memory/a" "$heap/r"
    says '--require-direct fails where direct I/O is not possible' 1 'tmpfs'
    check 'and leaves no bytes behind' test ! -e "$heap/r"
    echo kept >"$heap/kept"
    run "$DMABUFFS" cp --require-direct "$memory/a" "$heap/kept"
    says 'it fails, too, where there is a buffer already' 1 'tmpfs'
    check 'which keeps its bytes' test "$(cat "$heap/kept")" = kept
    cp "$outside/a" "$heap/full" && echo kept >"$memory/kept"
    run "$DMABUFFS" cp --require-direct "$heap/full" "$memory/kept"
    says 'and on the way out of a buffer' 1 'tmpfs'
    check 'where the file keeps its bytes' test "$(cat "$memory/kept")" = kept
    run "$DMABUFFS" cp --require-direct "$heap/full" "$memory/new"
    check 'and a new one is not left' test ! -e "$memory/new"
    run "$DMABUFFS" cp --require-direct <(echo pipe) "$heap/kept"
    says 'a pipe is never direct' 1 'require-direct'
    check 'and costs nobody his bytes' test "$(cat "$heap/kept")" = kept
    check 'and the refusal is in the status' quiet jq -e '.refused | length > 0' "$mnt/status"
    run "$DMABUFFS" cp --require-direct "$memory/a" "$heap/r" --json
    check 'with --json the failure counts no bytes' test "$(jq .bytes <<<"${out#*$'\n'}")" = 0
else
    echo 'skip - /dev/shm is no tmpfs'
fi
if ! dd if="$outside/a" of=/dev/null iflag=direct bs=1M count=1 2>/dev/null || [[ $(stat -fc %T "$outside") =~ tmpfs|ramfs ]]; then
    echo 'skip - no direct I/O in the work directory'
    ended=1
    exit
fi
check 'a file from outside goes into a buffer by direct I/O' test "$(paths --require-direct "$outside/a" "$heap/d")" = '{"pinned-direct":8388608}'
check 'with the right bytes' cmp "$outside/a" "$heap/d"
check 'a buffer goes to a file outside by direct I/O' test "$(paths --require-direct "$heap/d" "$outside/back")" = '{"pinned-direct":8388608}'
check 'with the right bytes there' cmp "$outside/a" "$outside/back"
printf tail >>"$outside/a"
run "$DMABUFFS" cp --require-direct --json "$outside/a" "$heap/d"
check 'a tail that is no block does not count against --require-direct' quiet jq -e '.bytes == 8388612 and .paths["pinned-direct"] == 8388608' <<<"$out"
check 'and is there' cmp "$outside/a" "$heap/d"
ended=1
