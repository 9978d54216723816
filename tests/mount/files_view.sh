#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# files/ behaves as the host directory it shows: the same commands give the same output and leave the same tree.
# timeout: 300
set -uo pipefail

failed=0
check() { # NAME COMMAND...
    local name=$1
    shift
    if "$@"; then echo "ok - $name"; else echo "not ok - $name"; failed=1; fi
}
refuses() { ! "$@" 2>/dev/null; }
within() { timeout "$@"; } # SECONDS COMMAND...

mnt="$T/a mount" data=$T/data files="$T/a mount/files/data"
mkdir "$mnt" "$data"
chmod 755 "$T" "$data"
mkdir "$T/other:ro"
"$DMABUFFS" mount -o xattr --files data="$data" --files kept="$data:ro" --files "$T/other:ro/" --files root=/ "$mnt" || exit 1
trap '"$DMABUFFS" umount "$mnt"' EXIT

# Everything a program can do to a directory, its errors included.
exercise() {
    umask 027
    mkdir -p a/b/c
    printf 'one\n' >a/one
    printf 'two\n' >>a/one
    printf 'XX' | dd of=a/one bs=1 seek=1 conv=notrunc status=none
    cat a/one
    ln a/one a/b/hard
    ln -s ../one a/b/soft
    cat a/b/hard a/b/soft
    readlink a/b/soft
    mkfifo a/fifo
    mv a/b/hard a/moved
    printf 'kept' >a/kept
    mv -n a/moved a/kept
    stat -c '%n %h %s %A' a/one a/moved a/kept
    chmod 4711 a/moved
    touch -d '2001-02-03 04:05:06.7' a/kept
    stat -c '%n %A' a/moved a/kept
    stat -c %Y a/kept
    rmdir a
    mkdir a/b
    rm a/b/c
    cat a/missing a/one/x
    ln a/b a/link-to-directory
    truncate -s 3M sparse
    printf 'data' | dd of=sparse bs=1 seek=1M conv=notrunc status=none
    cp --sparse=always sparse copy
    cmp sparse copy && stat -c '%n %s' sparse copy
    test "$(du -k copy | cut -f1)" -lt 1024 && echo 'still sparse'
    fallocate -l 200000 full && stat -c '%s' full
    fallocate -p -o 0 -l 8192 full && head -c 10 full | od -c
    exec 3<>gone
    rm gone
    echo text >&3
    stat -L -c '%h %s' /proc/self/fd/3
    cat /proc/self/fd/3
    exec 3>&-
    printf 'x' >$'strange \xff\n name'
    printf 'y' >"$(printf 'n%.0s' {1..255})"
    printf 'z' >"$(printf 'n%.0s' {1..256})"
    (mkdir deep && cd deep && for ((i = 0; i < 30; i++)); do mkdir "$(printf 'd%.0s' {1..200})" && cd "$_" || exit; done; echo deep >file; cat file)
    tar cf archive.tar a && mkdir out && tar xpf archive.tar -C out && diff -r --no-dereference a/b out/a/b && ls out/a
    (flock -n 9 && ! flock -n archive.tar true && echo 'locked out') 9<archive.tar
    flock -n archive.tar true && echo 'let in'
    setfattr -n user.note -v text a/one && getfattr -d a/one && getfattr -n user.missing a/one
    setfattr -x user.note a/one && getfattr -d a/one
    cp -a a again && diff -r --no-dereference a/b again/b
    rm -r deep again
    (cd a/b && rmdir c && rm soft && rmdir ../b && ls && ls .. && touch new)
    find "$1" -printf '%P %y %m %n %s %l\n' | sort
}
mkdir "$T/plain" "$data/view"
exercise_in() { (cd "$1" && exercise "$1") 2>&1 | sed "s|$1|HERE|g"; }
exercise_in "$T/plain" >"$T/expected"
exercise_in "$files/view" >"$T/seen"
check 'the same commands do the same in files/ as on the host' diff "$T/expected" "$T/seen"
check 'and what they left is on the host' diff -r --no-dereference -x fifo "$T/plain/out" "$data/view/out"

echo before >"$data/file"
check 'a file of the host is read' test "$(cat "$files/file")" = before
echo after >"$data/file"
check 'its new contents of the same size are, too' test "$(cat "$files/file")" = after
exec 4<"$files/file"
read -r -u 4 line
echo 'appended by the host' >>"$data/file"
read -r -u 4 line
check 'an open file sees what the host appends' test "$line" = 'appended by the host'
exec 4<&-
mv "$data/file" "$data/renamed"
check 'a name that the host took away is gone at once' refuses test -e "$files/file"
check 'the new one is there' test -e "$files/renamed"
mkdir "$data/dir" && (cd "$files/dir" && mv "$data/dir" "$data/dir2" && refuses test -e x)
check 'a directory renamed on the host is found again' test -d "$files/dir2"

head -c 3000000 /dev/urandom >"$data/random"
check 'a file is the same through the mount' cmp "$data/random" "$files/random"
cp "$files/random" "$mnt/heaps/memfd/buffer" && cp "$mnt/heaps/memfd/buffer" "$files/back"
check 'it goes to a buffer and back' cmp "$data/random" "$data/back"
cp "$files/random" "$files/copy"
check 'it is copied within files/' cmp "$data/random" "$data/copy"
check 'a copy from one host directory to another' cp "$mnt/files/root$data/random" "$files/copy2"
check 'arrives' cmp "$data/random" "$data/copy2"
check 'rename between host directories is refused, so mv copies' mv "$files/copy2" "$mnt/files/root$data/copy3"
check 'and that arrives too' cmp "$data/random" "$data/copy3"

# The same directory, for reading only.
kept="$mnt/files/kept"
mkdir "$data/room" && echo text >"$data/room/file"
before=$(find "$data" -printf '%P %m %s %T@\n' | sort)
check 'what is shown for reading only is read' test "$(cat "$kept/room/file")" = text
check 'and copied from' cp "$kept/random" "$mnt/heaps/memfd/buffer"
while read -r -a words; do
    out=$(LC_ALL=C "${words[@]/#@/$kept/}" 2>&1 </dev/null)
    check "it refuses ${words[*]} with EROFS" grep -q 'Read-only file system' <<<"$out"
done <<'END'
tee @room/file
tee -a @room/file
touch @room/new
touch -d 2001-01-01 @room/file
truncate -s 1 @room/file
chmod 600 @room/file
rm -f @room/file
rmdir @room
mkdir @room/new
mkfifo @room/new
ln -s x @room/new
ln @room/file @room/new
mv @room/file @room/new
setfattr -n user.a -v b @room/file
cp @random @room/file
END
out=$(LC_ALL=C "$DMABUFFS" cp "$kept/random" "$kept/room/new" 2>&1)
check 'as it does for dmabuffs cp' grep -q 'Read-only file system' <<<"$out"
check 'and nothing has changed' test "$(find "$data" -printf '%P %m %s %T@\n' | sort)" = "$before"
check 'a directory whose name ends in :ro can be shown as ever' touch "$mnt/files/other:ro/new"

check 'the mount seen through files/root=/ is not entered' refuses within 10 stat "$mnt/files/root$mnt/heaps"
check 'nor does listing the directory it lies in hang' within 10 ls "$mnt/files/root$T"
check 'procfs is not entered' refuses within 10 cat "$mnt/files/root/proc/self/status"
check 'the mount still answers' within 10 test -r "$mnt/status"
exit "$failed"
