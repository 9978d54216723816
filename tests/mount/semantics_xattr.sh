#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Extended attributes of buffers, and what they must not cost where nobody asked for them: a GETXATTR for each write.
source "$(dirname "$0")/lib.sh"
command -v setfattr >/dev/null || { echo 'skip - setfattr is not here'; exit 77; }

# -f -o debug: libfuse tells of each request. Buffers alone: files/ needs the host's attributes.
log=$T/log
debug_mount() { # OPTION...
    "$DMABUFFS" mount -f -o debug "$@" "$mnt" 2>"$log" &
    for _ in {1..100}; do is_mounted "$mnt" && [[ -r $mnt/status ]] && return; sleep 0.1; done
    miss 'the mount for this test' "$(tail -n 1 "$log")"
    exit 1
}
requests() { grep -c "$1" "$log"; } # NAME
debug_mount -o no_passthrough
dd if=/dev/zero of="$heap/written" bs=4096 count=100 status=none
"$DMABUFFS" umount "$mnt"
wait
check 'the log tells of the writes' test "$(requests WRITE)" -ge 100
check "but of no GETXATTR for each ($(requests GETXATTR))" test "$(requests GETXATTR)" -le 3

mount_it -o no_xattr
echo bytes >"$heap/buffer"
run setfattr -n user.format -v XR24 "$heap/buffer"
says 'with -o no_xattr a buffer takes none' 1 'not supported'
is 'and status says so' "$(jq .settings.xattr "$mnt/status")" false
"$DMABUFFS" umount "$mnt"

debug_mount -o xattr
is 'status says that there are some' "$(jq .settings.xattr "$mnt/status")" true
echo bytes >"$heap/buffer"
check 'with -o xattr a buffer takes an attribute' setfattr -n user.format -v XR24 "$heap/buffer"
is 'and has it' "$(getfattr --only-values -n user.format "$heap/buffer" 2>/dev/null)" XR24
is 'and lists it' "$(getfattr "$heap/buffer" 2>/dev/null | grep '^user')" user.format
run setfattr -n trusted.other -v x "$heap/buffer"
says 'only user.* are there' 1 'not supported'
mv "$heap/buffer" "$heap/moved"
is 'it moves along' "$(getfattr --only-values -n user.format "$heap/moved" 2>/dev/null)" XR24
cp --preserve=xattr "$heap/moved" "$heap/copy"
is 'cp --preserve=xattr takes it along' "$(getfattr --only-values -n user.format "$heap/copy" 2>/dev/null)" XR24
check 'it can be removed' setfattr -x user.format "$heap/moved"
is 'and is gone' "$(getfattr "$heap/moved" 2>/dev/null | grep '^user')" ''
run setfattr -n user.big -v "$(head -c 50000 /dev/zero | tr '\0' x)" "$heap/moved"
says 'a large one fits' 0 ''
run setfattr -n user.more -v "$(head -c 50000 /dev/zero | tr '\0' x)" "$heap/moved"
says 'not more than 64 KiB of them' 1 'No space left'
run setfattr -n user. -v x "$heap/moved"
says 'one without a name is refused' 1 'Invalid argument'
setfattr -x user.big "$heap/moved"
stored=0
for ((i = 0; i < 400; i++)); do
    setfattr -n "user.$(printf "%0240d" "$i")" "$heap/moved" 2>/dev/null || break
    stored=$((stored + 1))
done
is 'names count, too' "$((stored > 200 && stored < 300))" 1
is 'and all are listed' "$(getfattr "$heap/moved" 2>/dev/null | grep -c '^user')" "$stored"
is 'the bytes are untouched' "$(cat "$heap/moved")" bytes
"$DMABUFFS" umount "$mnt"
wait
