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
run ln -s target link
check 'a heap has no symbolic links' test "$status" = 1
check 'nor pipes' refuses mkfifo pipe
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
