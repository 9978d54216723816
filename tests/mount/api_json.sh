#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# All that --json prints, held to the record tests/mount/api/json: within a major version no member goes, none changes its
# type, and a new one is written down there and in docs/json.md.
# timeout: 300
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/api/shape.bash"
docs=$(realpath "$(dirname "$0")/../../docs/json.md")
mount_it
cd "$T" || exit

# Of each command enough output that every member, and every type it may have, is in it.
free='cp.paths|diff.largest'
declare -A printed # by command: a file of "PLACE TYPE"
print() { # COMMAND ARGUMENT...: the exit status may say that files differ, or that one could not be copied
    "$DMABUFFS" "$1" --json "${@:2}" 2>>"$T/err" | shape "$1" "$free" >>"$T/$1.shape"
    printed[$1]=$T/$1.shape
}
random 300000 >"$outside/a"
head -c 24 /dev/zero >one_4x4_nv12.yuv
cp one_4x4_nv12.yuv "$heap/named_4x4_nv12.yuv"
{ cat one_4x4_nv12.yuv; echo tail; } >more.raw
tr '\0' '\1' <one_4x4_nv12.yuv >other.yuv
{ cat other.yuv; echo tail; } >more.other
picture=(--format NV12 --size 4x4)

print cp "$outside/a" "$outside/none" "$heap"
print info "$heap/a" "$heap/named_4x4_nv12.yuv"
"$DMABUFFS" exec "$heap/a" -- "$DMABUFFS" ps --json 2>/dev/null | shape ps >"$T/ps.shape" # which holds it
printed[ps]=$T/ps.shape
print diff "${picture[@]}" more.raw more.other
print diff "${picture[@]}" one_4x4_nv12.yuv one_4x4_nv12.yuv
print diff "$outside/a" more.raw
cat "$mnt/views/${heap##*/}/a.png" 2>/dev/null # refused, and remembered
print status "$mnt"
print doctor
if on_memfd; then # what it says of dma-bufs is no other: see tests/guest/bench.sh
    print bench --create 2M --write --runs 1 --rows 'ours-memfd-first*' --rows 'dmabuf-buffer-read' --rows 'memfd-*' bench.data
fi
for command in "${!printed[@]}"; do
    keeps json "$command" "${printed[$command]}"
    is "$command: and in docs/json.md" "$(undocumented json "$command" "$(sed -n "1,/^## /p; /^## \`dmabuffs $command --json/,/^## /p" "$docs")")" ''
done
is "a view's .json is an element of info's list" "$(shape 'info[]' <"$mnt/views/${heap##*/}/named_4x4_nv12.yuv.json")" \
    "$("$DMABUFFS" info --json "$heap/named_4x4_nv12.yuv" | shape info | grep -v '^info ')"
is 'the status file is status --json' "$(shape status <"$mnt/status")" "$("$DMABUFFS" status --json "$mnt" | shape status)"

# Nothing that has --json is forgotten here.
is 'these commands print JSON' "$("$DMABUFFS" --help | sed -n '/ommands:$/,$s/^  \([a-z]\+\).*/\1/p' | while read -r command; do
    "$DMABUFFS" "$command" --help | grep -q -- '^ *--json' && echo "$command"
done | sort | xargs)" "$(awk '/^[a-z]+(\[\])? / { print $1 }' "$records/json" | sed 's/\[\]//' | sort -u | xargs)"
