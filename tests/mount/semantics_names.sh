#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Names: rename, directories, moves out of a heap, unlinked buffers, the sticky bit.
source "$(dirname "$0")/lib.sh"
mount_it
random 300001 >"$outside/bytes"
cd "$heap" || exit 1

cp "$outside/bytes" one
inode=$(stat -c %i one)
mv one two
same 'mv keeps the bytes' "$outside/bytes" two
is 'and the inode' "$(stat -c %i two)" "$inode"
check 'the old name is gone' refuses stat one
mkdir -p a/b/c
mv two a/b/c/three
is 'mv into a directory keeps the inode' "$(stat -c %i a/b/c/three)" "$inode"
mv a/b renamed
same 'a directory moves with what it holds' "$outside/bytes" renamed/c/three
run mv renamed renamed/c
says 'but not into itself' 1 'subdirectory of itself'
run rmdir renamed
says 'a directory that is not empty stays' 1 'not empty'
run rm renamed
says 'rm does not remove a directory' 1 'directory'
run rmdir renamed/c/three
says 'rmdir does not remove a buffer' 1 'Not a directory'
echo old >target
mv renamed/c/three target
same 'mv replaces what has the name' "$outside/bytes" target
echo kept >other
mv -n target other
is 'mv -n does not' "$(cat other)" kept
run mkdir target
says 'mkdir does not replace a buffer' 1 'exists'
is 'a name of 255 bytes is possible' "$(echo x >"$(printf 'n%.0s' {1..255})" && cat n*)" x
run touch "$(printf 'n%.0s' {1..256})"
says 'one of 256 is not' 1 'too long'
echo strange >$'new\nline \xff'
is 'a name may have any byte' "$(cat $'new\nline \xff')" strange
ln -s target link
is 'a symbolic link has a target' "$(readlink link) $(stat -c '%F %s %a' link)" 'target symbolic link 6 777'
echo bytes >frame41 && echo others >frame42
ln -s frame41 current && ln -sfn frame42 current
is 'ln -sf moves a link on' "$(cat current)" others
ln -s nowhere lost
check 'one that leads nowhere is there all the same' refuses cat lost
check 'and goes' rm lost
mkdir -p packed/below && ln -s ../frame42 packed/below/up && ln -s nowhere packed/lost
tar -cf "$outside/links.tar" packed && mkdir unpacked && tar -xf "$outside/links.tar" -C unpacked
is 'tar -x makes them' "$(readlink unpacked/packed/below/up unpacked/packed/lost | xargs)" '../frame42 nowhere'
cp -a packed copied
is 'so does cp -a' "$(readlink copied/below/up) $(find copied -type l | wc -l)" '../frame42 2'
touch -hd '2001-02-03 UTC' link
is 'it has times of its own' "$(TZ=UTC date -r packed +%Y) $(TZ=UTC stat -c %y link | cut -c1-10)" "$(date +%Y) 2001-02-03"
mv link renamed-link && mv -f renamed-link current
is 'it is renamed, over another too' "$(readlink current)" target
check 'status does not mind them' jq -e '[.buffers[].path] | all(endswith("current") | not)' "$mnt/status" >/dev/null
check 'and a directory of them goes' rm -r packed unpacked copied current frame41 frame42
check 'there are no hard links' refuses ln target hard
check 'nor pipes' refuses mkfifo pipe
touch setid && chmod 6755 setid
is 'set-id bits are not kept' "$(stat -c %a setid)" 755
rm setid
mkdir deep && (cd deep && for _ in {1..127}; do mkdir d && cd d || exit; done)
run sh -c "cd deep$(printf '/d%.0s' {1..127}) && mkdir d"
says 'directories lie 128 deep at most' 1 'too long'
mkdir -p beside/a/b
run mv deep/d beside/a/b/
says 'nor with what is below it' 1 'too long'
check 'up it can' mv deep/d/d up
rm -r deep up beside
rm -rf "$heap"/n* renamed a

mv target "$files/moved"
same 'mv to files/ copies' "$outside/bytes" "$data/moved"
check 'and removes' refuses stat target
mv "$files/moved" back
same 'mv from files/ too' "$outside/bytes" back
check 'and removes there' refuses stat "$data/moved"
mv back "$outside/away" && mv "$outside/away" again
same 'mv out of the mount and in again' "$outside/bytes" again
mkdir tree && cp "$outside/bytes" tree/x
mv tree "$outside/tree"
same 'mv of a directory to the outside' "$outside/bytes" "$outside/tree/x"

exec 5<>again
rm again
check 'the name of an open buffer can go' refuses stat again
check 'its bytes stay for who has it open' cmp "$outside/bytes" /proc/self/fd/5
printf 'more' >&5
check 'who can write it still' cmp -n 4 /proc/self/fd/5 <(printf more)
echo new >again
is 'the name is free for another' "$(cat again)" new
used() { df --output=used -B1 "$mnt" | tail -n 1; }
before=$(used)
exec 5>&-
for _ in {1..50}; do [[ $(used) == "$before" ]] || break; sleep 0.1; done
check 'the memory is given back with the last close' test "$(used)" -lt "$before"

check 'heaps/ itself is nobody'\''s to write in' refuses mkdir "$mnt/heaps/new"
check 'nor the top of the mount' refuses touch "$mnt/new"
check 'a heap can not be renamed' refuses mv "$heap" "$mnt/heaps/other"
check 'the status file can not be written' refuses sh -c "echo x >'$mnt/status'"
cd /
