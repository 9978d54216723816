#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What a mount holds outlives the daemon where a service manager stores its descriptors: the same dma-bufs, under the same
# names, with the same bytes.
# vm: --scratch 1G
# timeout: 900
source "$(dirname "$0")/common.bash"
source "$(dirname "$0")/../mount/survive.bash"
random() { head -c "$1" /dev/urandom; }
random 300000 >"$T/first"
random 300000 >"$T/second"
random 3000000 >"$T/long"
info() { "$DMABUFFS" info --json "$1" | jq -r ".[0].$2"; }
facts() { "$DMABUFFS" info --json "${files[@]}" | jq -c '.[] | [.path, .size, .capacity, .huge_bytes, .is_dmabuf, .inode, .exporter, .name, .owner]'; }
cat >"$T/program" <<'EOF'
import mmap, sys
memory = mmap.mmap(3, 4096)
print('up', flush=True)
for line in sys.stdin:
    memory[:4] = line[:4].encode()
    print('ok', flush=True)
EOF

make_disk
load_module
mkdir -p "$mnt"
huge_pages 8
manage 500 -o xattr,no_auto_unmount --files d="$disk" "$mnt"
order start
equals 'it starts' "${answer% *}" ready
files=()
for name in system udmabuf direct; do
    dir=$mnt/heaps/$name/dir
    mkdir "$dir"
    cp "$T/first" "$dir/copied"
    "$DMABUFFS" cp --no-progress "$T/long" "$dir/loaded"
    cp "$T/first" "$disk/file" && cp "$disk/file" "$dir/inside"
    truncate -s 5000000 "$dir/sized" && printf abc | dd of="$dir/sized" bs=1 seek=4999000 conv=notrunc status=none
    fallocate -l 1M -n "$dir/sized"
    cp "$T/first" "$dir/removed" && rm "$dir/removed"
    cp "$T/first" "$dir/grown" && cat "$T/second" >>"$dir/grown"
    cp "$T/long" "$dir/cut" && truncate -s 1234567 "$dir/cut"
    cp "$T/first" "$dir/held"
    setfattr -n user.format -v XR24 "$dir/sized"
    touch -d '2001-02-03 04:05:06.5' "$dir/loaded"
    chown 12:34 "$dir/copied" && chmod 0640 "$dir/copied"
    ln -s copied "$dir/link"
    files+=("$dir"/{copied,loaded,inside,sized,grown,cut,held})
done
coproc program { exec "$DMABUFFS" exec "$mnt/heaps/system/dir/held" -- python3 "$T/program"; }
# shellcheck disable=SC2154 # coproc sets it
{ pid=$program_PID; read -r -t 120 _ <&"${program[0]}"; }
check 'a dma-buf is imported' "$DMABUFFS" exec "$mnt/heaps/udmabuf/dir/held" -- "$DMABUFFS" import --fd 3 "$mnt/heaps/import/other"
facts >"$T/facts"
state_of "$mnt/heaps" | grep -v import >"$T/state"
compare() { # NAME
    facts >"$T/facts now"
    state_of "$mnt/heaps" >"$T/state now"
    check "$1: what was imported is not there" test ! -e "$mnt/heaps/import/other"
    # The heaps' own directories are made anew.
    check "$1: the same dma-bufs" diff "$T/facts" "$T/facts now"
    check "$1: all the rest" diff <(grep -v '^\./[a-z]*|' "$T/state") <(grep -v '^\./[a-z]*|' "$T/state now")
}
for how in kill stop kill; do
    order "$how"
    order start
    equals "after $how it starts" "${answer% *}" ready
    compare "after $how"
done
for name in system udmabuf direct; do
    dir=$mnt/heaps/$name/dir
    inode=$(info "$dir/copied" inode)
    check "$name: what was kept takes another file" cp "$T/second" "$dir/copied"
    check "$name: with its bytes" cmp "$T/second" "$dir/copied"
    check "$name: and a larger one, as nobody else holds it" cp "$T/long" "$dir/copied"
    check "$name: and shows that" cmp "$T/long" "$dir/copied"
    [[ $(info "$dir/copied" inode) != "$inode" ]] || echo "# the same dma-buf"
    "$DMABUFFS" cp -v --no-progress "$dir/loaded" "$disk/out" >"$T/path" 2>&1
    check "$name: it is copied out" cmp "$T/long" "$disk/out"
    echo "# $name: $(<"$T/path")"
done
if [[ $(jq -r .passthrough.state "$mnt/status") == on ]]; then
    for name in system udmabuf direct; do
        check "$name: what is there again can be mapped" python3 -c '
import mmap, sys
with open(sys.argv[1], "r+b") as file:
    mmap.mmap(file.fileno(), 4096)[:4] = b"here"
assert open(sys.argv[1], "rb").read(4) == b"here"' "$mnt/heaps/$name/dir/sized"
    done
fi
held=$mnt/heaps/system/dir/held
equals 'what a program holds is known to be held' "$(info "$held" held_elsewhere)" true
for name in system udmabuf direct; do
    equals "what nobody holds is not, though it is stored: $name" "$(info "$mnt/heaps/$name/dir/sized" held_elsewhere)" false
done
{ echo wxyz >&"${program[1]}"; read -r -t 60 _ <&"${program[0]}"; }
equals 'what it writes the file shows' "$(head -c 4 "$held")" wxyz
equals 'a larger cp is EBUSY' "$(cp "$T/long" "$held" 2>&1 | grep -c 'Device or resource busy')" 1
eval "exec ${program[1]}>&-"
wait "$pid"
equals 'until the program ends' "$(info "$held" held_elsewhere)" false
check 'then it works' cp "$T/long" "$held"

# Handed out by this daemon, which has stored it.
for name in system udmabuf direct; do
    fresh=$mnt/heaps/$name/fresh
    cp "$T/first" "$fresh"
    "$DMABUFFS" exec "$fresh" -- sleep 0
    equals "$name: what was handed out and let go is not held" "$(info "$fresh" held_elsewhere)" false
    check "$name: and may be replaced" cp "$T/long" "$fresh"
done

# What is not closed is there after a stop.
exec 7>"$mnt/heaps/udmabuf/open" 8>"$mnt/heaps/system/open"
printf bytes >&7
printf bytes >&8
order stop
exec 7>&- 8>&-
order start
equals 'what was written is there after a stop, though nobody had closed it' "$(cat "$mnt/heaps/udmabuf/open") $(cat "$mnt/heaps/system/open")" 'bytes bytes'

# Killed while memory goes from file to file.
churn() { # HEAP
    local i
    for ((i = 0; ; i++)); do
        cp "$T/first" "$mnt/heaps/$1/a" && "$DMABUFFS" cp --no-progress "$T/long" "$mnt/heaps/$1/b" && rm "$mnt/heaps/$1/a" &&
            cp "$T/second" "$mnt/heaps/$1/c" && "$DMABUFFS" cp --no-progress "$T/long" "$mnt/heaps/$1/d" && rm "$mnt/heaps/$1/b" &&
            cat "$T/second" >>"$mnt/heaps/$1/longer" || return
    done
} 2>/dev/null
wrong=''
for round in {1..5}; do
    writers=()
    for name in system udmabuf direct; do
        cp "$T/first" "$mnt/heaps/$name/longer"
        churn "$name" &
        writers+=($!)
    done
    sleep "$((RANDOM % 3)).$((RANDOM % 10))"
    order kill
    wait "${writers[@]}"
    order start
    for file in "$mnt"/heaps/{system,udmabuf,direct}/[a-d]; do
        [[ -s $file ]] || continue
        size=$(stat -c %s "$file")
        for source in first second long; do cmp -s -n "$size" "$file" "$T/$source" && continue 2; done
        wrong+=" $round:$file:$size"
    done
    for name in system udmabuf direct; do
        cmp -s -n 300000 "$mnt/heaps/$name/longer" "$T/first" || wrong+=" $round:$name:cut"
    done
    twice=$("$DMABUFFS" status --json "$mnt" | jq -r '.buffers[].inode | select(. != null)' | sort | uniq -d)
    [[ ! $twice ]] || wrong+=" $round:twice:$twice"
done
equals 'killed at any time, no file has bytes or memory of another, and none that grew has lost what it had' "$wrong" ''

find "$mnt"/heaps/*/ -mindepth 1 -delete
await_stored 1
order stop
equals 'what is removed is stored no more' "$(stored)" 1
equals 'and no dma-buf is left' "$(dmabufs)" 0
unmanage
exit "$failed"
