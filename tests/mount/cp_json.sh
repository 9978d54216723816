#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The JSON that docs/json.md promises: cp, info, status.
source "$(dirname "$0")/cp_common.bash"
mount_it
json() { jq -e "$1" >"$T/jq.out" 2>&1 || { cat "$T/jq.out"; return 1; }; }
of() { json "$2" <<<"$1"; }

head -c 3000000 /dev/urandom >"$outside/a"
printf small >"$outside/b"
one=$("$DMABUFFS" cp --json "$outside/a" "$outside/b" "$heap")
check 'cp --json sums over files' of "$one" '.files == 2 and .bytes == 3000005 and .errors == []'
check 'cp --json tells bytes by path' of "$one" '([.paths[]] | add) == 3000005'
check 'cp --json tells seconds' of "$one" '.seconds > 0 and .seconds < 60'
check 'cp --json gives each reason a path, a text and bytes' of "$one" '.reasons | all((.path | length) > 0 and (.why | length) > 0 and (.bytes | type) == "number")'
check 'cp --json prints nothing else' test "$(jq -s length <<<"$one")" = 1
two=$("$DMABUFFS" cp --json "$outside/none" "$outside/b" "$heap" 2>"$T/errors")
check 'cp --json tells errors too' of "$two" '(.errors | length) == 1 and .files == 1 and .bytes == 5'
check 'which also go to stderr' grep -q "dmabuffs: cp: $outside/none" "$T/errors"

info=$("$DMABUFFS" info --json "$heap/a" "$heap/b")
check 'info --json is a list' of "$info" 'length == 2'
check 'info --json tells sizes' of "$info" '.[0] | .size == 3000000 and .capacity >= 3000000 and .capacity % 4096 == 0'
check 'info --json tells the path as given' of "$info" ".[1].path == \"$heap/b\""
check 'info --json says that memfd is no dma-buf' of "$info" '.[0] | .is_dmabuf == false and .inode == null and .heap == "memfd" and .kind == "memfd"'
check 'info --json has all its members' of "$info" '.[0] | [has("exporter", "name", "format", "huge_bytes", "owner")] | all'
check 'info --json tells the owner' of "$info" ".[0].owner | .uid == $(id -u) and .gid == $(id -g)"
run "$DMABUFFS" info "$heap/a"
says 'info says in words that memfd is no dma-buf' 0 'ordinary memory'
run "$DMABUFFS" info "$outside/a"
says 'info names a file that is not in a mount' 1 "$outside/a: not in a dmabuffs mount"
run "$DMABUFFS" info "$mnt/status"
says 'info names a file that is not a buffer' 1 'not a buffer'
run "$DMABUFFS" info "$heap/none" "$heap/a"
says 'info goes on after a file that is not there' 1 'ordinary memory'

status_json=$("$DMABUFFS" status --json "$mnt")
check 'status --json is the status file' of "$status_json" ".socket == $(jq .socket "$mnt/status")"
check 'status --json counts buffers by heap' of "$status_json" '.heaps[] | select(.name == "memfd") | .kind == "memfd" and .is_dmabuf == false and .buffers == 2 and .bytes >= 3000005'
check 'status --json lists buffers' of "$status_json" '.buffers | map(select(.path == "heaps/memfd/a" and .size == 3000000 and .heap == "memfd")) | length == 1'
check 'status --json has all paths' of "$status_json" '.transfers | keys == ["bounce-direct", "buffered", "file-copy", "kernel-direct", "memory-copy", "pinned-direct"]'
# A new small file cp writes itself.
check 'status --json counts the transfers above' of "$status_json" '[.transfers[].bytes] | add == 3000005'
check 'status --json tells settings, memory and versions' of "$status_json" '.settings.require_direct == false and .memory.used > 0 and .memory.limit > .memory.used and (.version.dmabuffs | length) > 0'
check 'status --json does not count passthrough' of "$status_json" '.passthrough.bytes == "not counted"'
check 'the status file is as long as stat says' test "$(stat -c %s "$mnt/status")" -gt 500
run "$DMABUFFS" status "$heap/a"
says 'status takes any path in the mount and prints tables' 0 'heaps/memfd/a'
run "$DMABUFFS" status "$outside"
says 'status names what is no mount' 1 "$outside: not in a dmabuffs mount"
check 'the status file can only be read' refuses sh -c ": >'$mnt/status'"

run "$DMABUFFS" socket "$mnt"
says 'socket prints the path of a socket' 0 "$(jq -r .socket "$mnt/status")"
check 'which is there' test -S "$out"
check 'and is its owner'\''s alone' test "$(stat -c %a "$out")" = 600
run "$DMABUFFS" socket "$outside"
says 'socket names what is no mount' 1 "$outside: not in a dmabuffs mount"
ended=1
