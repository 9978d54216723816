#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What a mount holds outlives the daemon where a service manager stores its descriptors: here memfds, in
# tests/guest/survive.sh dma-bufs.
# timeout: 400
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/survive.bash"
heap=$mnt/heaps/memfd
begins() { order start "${@:2}"; is "$1" "${answer% *}" ready; } # NAME OPTION...
empty_heap() { find "$heap" -mindepth 1 -delete; }
again() { # NAME: all of it
    state_of "$heap" >"$T/now"
    if cmp -s "$T/before" "$T/now"; then pass "$1"; else miss "$1" "$(diff "$T/before" "$T/now" | head -n 6)"; fi
}

# All kinds of things.
manage 2000 -o xattr,no_auto_unmount "$mnt"
begins 'it starts with nothing stored'
is 'and begins a list of names' "$(stored)" 1
cd "$heap" || exit 1
mkdir -p dir/below/deep && chmod 2750 dir/below
true >empty
printf x >one
random 300000 >buffer
random 100000 >dir/below/deep/buffer
truncate -s 3M sparse && printf y | dd of=sparse bs=1 seek=2000000 conv=notrunc status=none
random 5000 >gone && rm gone
random 5000 >old && random 6000 >new && mv new old
random 7000 >moved && mv moved dir/moved-here
mkdir later && mv dir later/dir
chmod 0440 buffer && chmod 1777 one
touch -d '2001-02-03 04:05:06.123456789' one && touch -a -d '1969-12-31 23:00:00.5 UTC' buffer
ln -s "$(printf 'a%.0s' {1..4000})" link && ln -s nowhere later/link
touch -h -d '2002-02-02 02:02:02.02' link
name=$'with\nnewline:colon "and" \\ \xff\xfe'
random 4096 >"$name"
random 4097 >"$(printf 'n%.0s' {1..255})"
setfattr -n user.one -v value one
setfattr -n user.long -v "$(head -c 60000 /dev/zero | tr '\0' v)" buffer
setfattr -n user.gone -v x buffer && setfattr -x user.gone buffer
((EUID)) || { chown 1234:4321 "$name" later; chown -h 77 link; }
random 20000 >shrunk && truncate -s 10001 shrunk
random 20000 >cleared && : >cleared
cd /
state_of "$heap" >"$T/before"
order count
full=$answer
order kill
is 'killed' "$answer" 'ended -9'
check 'its mount is dead' refuses ls "$mnt"
begins 'the next one takes its place'
again 'and everything is there again'
is 'nothing else is stored' "$(stored)" "$full"
order stop
is 'stopped' "$answer" 'ended 0'
begins 'and started'
again 'everything is there again after a stop'
order kill
order start
again 'and once more'
printf more >>"$heap/one"
is 'what is there can be written' "$(cat "$heap/one")" xmore
ino=$(stat -c %i "$heap/later/dir")
check 'and moved' mv "$heap/later/dir" "$heap/dir"
is 'as what it was' "$(stat -c %i "$heap/dir")" "$ino"
chmod 600 "$heap/buffer"
state_of "$heap" >"$T/before"
order kill
order start
again 'what was changed is kept, too'
empty_heap
await_stored 1
is 'what is removed is stored no more' "$(stored)" 1
order kill
order start
is 'and does not come back' "$(find "$heap" -mindepth 1)" ''

# Killed in the middle of writing, again and again: what was closed is there, whole.
write_on() { # ROUND
    local i file size
    for ((i = 0; ; i++)); do
        file=$heap/$1.done.$i
        head -c $((RANDOM * 7)) "$T/bytes" >"$heap/$1.$i" && mv "$heap/$1.$i" "$file" && size=$(stat -c %s "$file") || return
        echo "$size $file" >>"$T/written"
        ((i < 5)) && continue
        echo "$heap/$1.done.$((i - 5))" >>"$T/removed"
        rm "$heap/$1.done.$((i - 5))" || return
    done
} 2>/dev/null
random 300000 >"$T/bytes"
touch "$T/written" "$T/removed"
for round in {1..12}; do
    write_on "$round" &
    writer=$!
    sleep "0.$((RANDOM % 9 + 1))"
    order kill
    wait "$writer"
    order start
done
wrong=''
while read -r size file; do
    if [[ -e $file ]]; then
        [[ $(size_of "$file") == "$size" ]] && cmp -s -n "$size" "$file" "$T/bytes" || wrong+=" $file"
    else
        grep -qxF "$file" "$T/removed" || wrong+=" gone:$file"
    fi
done <"$T/written"
check 'files were written meanwhile' test "$(wc -l <"$T/written")" -gt 12
is 'all that were closed are there, whole' "$wrong" ''
empty_heap

# What a program holds.
random 300000 >"$heap/held"
coproc program { "$DMABUFFS" exec "$heap/held" -- python3 -c '
import mmap, os, sys
memory = mmap.mmap(3, os.fstat(3).st_size)
print(os.fstat(3).st_ino, flush=True)
for line in sys.stdin:
    memory[:4] = line[:4].encode()
    print("ok", flush=True)' 2>/dev/null; }
read -r -t 60 inode <&"${program[0]}"
truncate -s 200000 "$heap/held"
order kill
order start
# shellcheck disable=SC2154 # coproc sets it
{ echo abcd >&"${program[1]}"; read -r -t 60 _ <&"${program[0]}"; }
is 'what a program holds is the memory of the file still' "$(head -c 4 "$heap/held")" abcd
is 'of its length' "$(size_of "$heap/held")" 200000
about() { "$DMABUFFS" info --json "$heap/held" | jq ".[0].$1"; }
is 'and known to be held' "$(about held_elsewhere)" true
is 'by its capacity' "$(about capacity)" 303104
run cp "$T/bytes" "$heap/held"
is 'so that it is written in place' "$status" 0
is 'in the same file' "$("$DMABUFFS" exec "$heap/held" -- stat -L -c %i /dev/fd/3 2>/dev/null)" "$inode"
eval "exec ${program[1]}>&-"
rm "$heap/held"

# Accounts. What does not fit stays with the manager.
random 3000000 >"$heap/large" && random 1000000 >"$heap/small"
order stop
order start -o size=2M
is 'what does not fit any more is not shown' "$(ls "$heap")" small
check 'which is said' test "$(logged 'it stays with the service manager')" -gt 0
is 'what fits is counted' "$(jq '.memory.used > 999999' "$mnt/status")" true
order stop
order start
is 'and it is not lost' "$(size_of "$heap/large")" 3000000
order stop
order start --heap-if-present system
check 'nor is what is in a heap that is not shown' refuses ls "$heap"
order stop
order start
is 'it is there again with that heap' "$(size_of "$heap/large")" 3000000
rm "$heap"/*

# A manager that is slow, strangers, and what can't be.
order pause
began=$SECONDS
for i in {0..299}; do echo "$i" >"$heap/$i"; done
check 'a manager that does not listen keeps nobody waiting for long' test "$((SECONDS - began))" -lt 60
check 'which is said' test "$(logged 'will be empty when this daemon has ended')" -gt 0
order resume
for i in {0..299}; do echo "$i" >"$heap/$i"; done
await_stored 301
is 'what is closed again is stored then' "$(stored)" 301
is 'status tells of it' "$(jq -c '.kept | [.descriptors, .limit]' "$mnt/status")" '[301,2000]'
order foreign
order kill
order start
is 'all are there again' "$(cat "$heap"/* | sort -n | sha256sum)" "$(seq 0 299 | sha256sum)"
check "strangers' descriptors are told of, and are in nobody's way" test "$(logged "is none of a mount's")" = 4
order cut
order kill
order start
is 'of a list that was cut off in its last entry all before that counts' "$(cat "$heap"/* | sort -n | sha256sum)" "$(seq 0 299 | sha256sum)"
order forge
order kill
order start
is 'what is no memory of a buffer is left out' "$(find "$heap" -type f | wc -l)" 299
check 'which is said' test "$(logged 'no memfd that holds .*it is left out')" = 1
order damage
order kill
begins 'a list that can not be read does not end the mount'
check 'is told of' test "$(logged 'list of names .* is damaged')" -gt 0
is 'and begins anew' "$(ls "$heap")" ''
await_stored 5 # four are strangers
echo new >"$heap/new"
await_stored 6
order kill
order start
is 'which is kept then' "$(cat "$heap/new")" new
order stop
unmanage

# One that stores little.
manage 4 "$mnt"
order start
for i in {1..6}; do echo "$i" >"$heap/$i"; done
check 'what there is no room for is said' test "$(logged 'stores no more than 4 descriptors')" -gt 0
check 'in status, too' test "$(jq .kept.refused "$mnt/status")" -ge 4
order kill
order start
is 'and is empty in the end, the rest is not' "$(cat "$heap"/*)" $'1\n2'
check 'which is said' test "$(logged 'it is empty')" -ge 4
order stop
unmanage

# One user can't have all of it.
if ((EUID == 0)); then
    chmod 755 "$T"
    manage 16 -o allow_other "$mnt"
    order start
    setpriv --reuid 65534 --regid 65534 --clear-groups bash -c 'for i in {1..10}; do echo "$i" >"$1/$i"; done' bash "$heap"
    is "what a user has stored ends at that user's share" "$(jq -c '.kept | [.descriptors, .refused]' "$mnt/status")" '[7,4]'
    is 'which is said' "$(logged 'user 65534 has as many stored as a user may')" 4
    check 'and the command status says it' grep -q 'stored by the service manager: 7 descriptors of 16; there was no room for some' \
        <("$DMABUFFS" status "$mnt")
    echo own >"$heap/own"
    is "the owner's is stored" "$(jq .kept.descriptors "$mnt/status")" 8
    order kill
    order start
    is 'and is there again, as those of the user' "$(cat "$heap"/[1-6] "$heap/own")" $'1\n2\n3\n4\n5\n6\nown'
    setpriv --reuid 65534 --regid 65534 --clear-groups bash -c 'echo 11 >"$1/11"; rm "$1/1"; echo 12 >"$1/12"' bash "$heap"
    order kill
    order start
    is 'whose share goes on: what is removed makes room' "$(cat "$heap/11" "$heap/12")" 12
    order stop
    unmanage
fi

# None.
"$DMABUFFS" mount "$mnt"
is 'without a service manager nothing is kept, which status says' "$(jq .kept "$mnt/status")" null
"$DMABUFFS" umount "$mnt"
run "$DMABUFFS" mount --help
says 'and mount --help' 0 'gone when the daemon ends, unless systemd stores them'
