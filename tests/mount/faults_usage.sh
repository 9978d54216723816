#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What is asked wrongly is refused with the reason, and nothing is left mounted.
source "$(dirname "$0")/lib.sh"
place=$T/place
mkdir "$place"
echo text >"$T/file"
wrong() { # NAME STATUS TEXT ARGUMENT...
    run within 20 "$DMABUFFS" mount "${@:4}"
    says "$1: $2" "$2" "$3"
    check 'and nothing is mounted' refuses is_mounted "$place"
}
wrong 'no mount point' 2 MOUNTPOINT
wrong 'an unknown switch' 2 'no option --wrong' --wrong "$place"
wrong 'which is named before what is missing' 2 'no option --wrong' --wrong
wrong 'an unknown option' 2 'unknown option' -o wrong "$place"
wrong 'which lists those there are' 2 'size=' -o wrong=1 "$place"
wrong 'a size that is none' 2 "write 512M" -o size=lots "$place"
wrong 'a negative size' 2 'is no size' -o size=-1 "$place"
wrong 'two mount points' 2 '' "$place" "$place"
wrong 'two --files of one name' 2 'is taken' --files a="$T" --files a="$data" "$place"
wrong '--files with a strange name' 2 'no name' --files ..="$T" "$place"
wrong '--files of what is not there' 1 'No such file' --files "$T/none" "$place"
wrong '--files of a file' 1 'not a directory' --files "$T/file" "$place"
wrong '--heap without a name' 2 'name is missing' --heap :a=b "$place"
wrong '--heap with half a setting' 2 'not KEY=VALUE' --heap memfd:wrong "$place"
wrong '--heap with a setting that heap has not' 2 'unknown setting' --heap memfd:wrong=1 "$place"
wrong 'an empty mount point' 2 'empty' ''
wrong 'a heap that is not there: which there are' 1 'there are memfd' --heap none-such "$place"
wrong 'and what to say where a machine may lack it' 1 '--heap-if-present none-such' --heap none-such "$place"
wrong 'in fstab, too' 1 'heap_if_present=' -o heap=none-such "$place"
wrong 'so in fstab' 1 '--heap none,such: there is no such heap' -o 'heap=none\,such' "$place"
[[ -e /dev/udmabuf ]] || wrong 'and the remedy that doctor knows' 1 "$("$DMABUFFS" doctor --json | jq -r '.checks[] | select(.name == "udmabuf").detail')" \
    --heap memfd --heap udmabuf "$place"
wrong 'two heaps in one word' 1 'once more' --heap memfd,udmabuf "$place"
wrong 'a size of nothing' 2 'holds nothing' -o size=0 "$place"
wrong 'a size below a page' 2 'holds nothing' -o size=4095 "$place"
wrong 'more than all of RAM' 2 '100% or less' -o size=150% "$place"
wrong 'a quote that is not closed' 2 'is not closed; close it' -o 'heap_if_present="x,y' "$place"
wrong 'a switch with a value' 2 'takes no value' -o ro=1 "$place"
wrong 'no directory for files=' 2 "--files '': the directory is missing" -o files= "$place"
wrong 'no name for fsname=' 2 'the name is missing' -o fsname= "$place"
wrong 'an unknown option, for which all are listed' 2 'allow_root' -o wrong "$place"
wrong 'a mount point that is not there' 1 'mkdir -p' "$T/none"
mkdir "$T/removed"
run within 20 bash -c 'cd "$2" && rmdir "$2" && exec "$1" mount .' - "$DMABUFFS" "$T/removed"
says 'a working directory that was removed' 1 '.: the directory you are in was removed or unmounted; cd to another'
wrong 'a mount point that is a file' 1 'not a directory' "$T/file"

wrong 'allow_other and allow_root' 2 'one of them' -o allow_other,allow_root "$place"
wrong 'host directories on a mount point that is a descriptor' 1 'drop_privileges' --files data="$data" /dev/fd/9

check 'a name with commas is one option' "$DMABUFFS" mount -o 'fsname=a\,allow_other' "$place"
is 'and no other' "$(awk -v at="$place" '$5 == at { print $(NF - 1) ($NF ~ /allow_other/) }' /proc/self/mountinfo)" 'a,allow_other0'
"$DMABUFFS" umount "$place"
run "$DMABUFFS" mount -o size=999T "$place"
says 'a size above RAM is accepted, as by tmpfs, but not silently' 0 'more than this machine'
is 'and is what was asked for' "$(jq .settings.size "$place/status")" $((999 << 40))
"$DMABUFFS" umount "$place"
for words in '--heap-if-present none-such' '-o heap_if_present=none-such'; do
    read -ra words <<<"$words"
    check "a heap that may come: ${words[0]}" "$DMABUFFS" mount "${words[@]}" "$place"
    check 'so it is mounted' is_mounted "$place"
    is 'and shows none' "$(ls "$place/heaps")" import
    "$DMABUFFS" umount "$place"
done
ln -s place "$T/link"
check 'a link to a directory is a mount point' "$DMABUFFS" mount "$T/link"
check 'which is what it points to' is_mounted "$place"
"$DMABUFFS" umount "$T/link"
mount_it
echo 1 >"$heap/one"
check 'the summary comes first, then the buffers' bash -c '"$1" status "$2" | tail -n 1 | grep -q "^heaps/memfd/one "' - "$DMABUFFS" "$mnt"
rm "$heap/one"
long=$(printf 'n%.0s' {1..250})END
: >"$heap/$long"
run "$DMABUFFS" status "$mnt"
says 'a long name is shortened in the table' 0 '…nnn'
check 'which stays narrow' test "$(grep -a nnn <<<"$out" | wc -m)" -lt 100
rm "$heap/$long"
run bash -c '"$1" status "$2" >/dev/full' - "$DMABUFFS" "$mnt"
says 'output that is lost is a failure' 1 'standard output'
run bash -c '"$1" help >/dev/full' - "$DMABUFFS"
says 'of help, too' 1 'standard output'
run "$DMABUFFS" mount "$mnt"
says 'where a mount is there is no other: 1' 1 'there already'
check 'and it goes on' test -r "$mnt/status"
mkdir -p "$heap/inner/most"
for inner in "$mnt/heaps" "$heap" "$heap/inner/most"; do
    run "$DMABUFFS" mount "$inner"
    says "what lies in a mount's heaps is no mount point: 1 (${inner#"$mnt"/})" 1 'lies in heaps/ of the dmabuffs mount'
    check 'and nothing is mounted' refuses is_mounted "$inner"
done
mkdir "$files/inner"
check 'a directory of files/ is one' "$DMABUFFS" mount "$files/inner"
"$DMABUFFS" umount "$files/inner"
run "$DMABUFFS" cp "$T/file" "$mnt"
says 'a file into the mount itself: where buffers live' 1 'buffers live below heaps/HEAP/'
run "$DMABUFFS" cp "$T/file" "$mnt/heaps/"
says 'nor into heaps/' 1 'buffers live below heaps/HEAP/'
run "$DMABUFFS" nonsense
says 'a command there is not: 2' 2 'no command nonsense'
for typed in umont:umount hlep:help stats:status mnt:mount; do
    run "$DMABUFFS" "${typed%:*}"
    says "${typed%:*}: what was meant" 2 "no command ${typed%:*}; did you mean ${typed#*:}?"
done
check 'but nothing far-fetched is' test "$("$DMABUFFS" nonsense 2>&1 | grep -c 'did you mean')" = 0
run "$DMABUFFS" status
says 'status of nothing: 2, and which mounts there are' 2 "status: MOUNTPOINT is required; there are "
says 'whose they are' 2 "$mnt ($(id -un))"
run "$DMABUFFS" ls "$mnt"
says 'plain ls is for the mount, too' 2 'there is no command ls; plain `ls` works on the mount'
is 'so does help' "$("$DMABUFFS" help version)" "$("$DMABUFFS" --version)"
is 'version is --version' "$("$DMABUFFS" version)" "$("$DMABUFFS" --version)"
run "$DMABUFFS" cp "$T/file"
says 'cp with one operand: 2' 2 "cp: no destination behind '$T/file'"
run "$DMABUFFS" unmount
says 'a command that lacks its operand: 2' 2 'umount: MOUNTPOINT is required'
is 'help COMMAND is COMMAND --help' "$("$DMABUFFS" help exec)" "$("$DMABUFFS" exec --help)"
is 'and help alone --help' "$("$DMABUFFS" help)" "$("$DMABUFFS" --help)"
ln -s nowhere "$T/dangling"
run "$DMABUFFS" cp "$T/file" "$T/dangling"
says 'nothing is copied through a dangling link' 1 "not writing '$T/file' through the dangling symbolic link '$T/dangling'"
check 'whose target is not made' test ! -e "$T/nowhere"
for command in mount umount cp exec info view diff hex status socket doctor; do
    run "$DMABUFFS" $command --version
    says "$command --version" 0 'dmabuffs '
done
for needed in / /proc /sys /dev; do
    run "$DMABUFFS" mount "$needed"
    says "nothing is mounted over $needed: 1" 1 'needs what is there'
done
for words in "--files d=$data PLACE -o size=100M" "-o size=100M PLACE --files d=$data" "--heap memfd PLACE --require-direct"; do
    read -ra words <<<"${words/PLACE/$place}"
    check "options on both sides of the mount point: ${words[0]}" "$DMABUFFS" mount "${words[@]}"
    "$DMABUFFS" umount "$place"
done
run "$DMABUFFS" mount -o remount "$place"
says 'a remount is explained: 2' 2 "can't be remounted"
for options in atime relatime,nodiratime,lazytime,noatime; do
    check "times of other file systems are no obstacle: $options" "$DMABUFFS" mount -o "$options" "$place"
    check 'so it is mounted' is_mounted "$place"
    "$DMABUFFS" umount "$place"
done
