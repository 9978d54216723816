#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# dmabuffs cp, from and to wherever: the bytes, the names, the modes, the errors.
source "$(dirname "$0")/cp_common.bash"
mount_it
cp() { "$DMABUFFS" cp "$@"; }

head -c 5000001 /dev/urandom >"$outside/a"
cp "$outside/a" "$heap/a"
check 'a file from outside becomes a buffer' cmp "$outside/a" "$heap/a"
cp "$heap/a" "$outside/back"
check 'a buffer becomes a file outside' cmp "$outside/a" "$outside/back"
cp "$heap/a" "$mnt/files/data/inside"
check 'a buffer becomes a file of files/' cmp "$outside/a" "$data/inside"
check 'its size is seen at once through the mount' test "$(stat -c %s "$mnt/files/data/inside")" = 5000001
cp "$mnt/files/data/inside" "$heap/b"
check 'a file of files/ becomes a buffer' cmp "$outside/a" "$heap/b"
cp "$heap/b" "$heap/c"
check 'a buffer becomes another buffer' cmp "$outside/a" "$heap/c"
cp "$mnt/files/data/inside" "$mnt/files/data/second"
check 'a file of files/ becomes another' cmp "$outside/a" "$data/second"
cp "$outside/a" "$outside/plain"
check 'a file outside becomes another outside' cmp "$outside/a" "$outside/plain"

for size in 0 1 4095 4096 4097 1048575 2097153; do
    head -c $size "$outside/a" >"$outside/part"
    cp "$outside/part" "$heap/part" && cp "$heap/part" "$outside/part.back"
    check "$size bytes go in and out, over longer ones" cmp "$outside/part" "$outside/part.back"
    check "$size bytes are all there is in the buffer" test "$(stat -c %s "$heap/part")" = $size
    head -c 3000000 "$outside/a" >"$outside/part.back"
    cp -f "$outside/a" "$heap/part"
done

truncate -s 3000000 "$outside/sparse" && printf end >>"$outside/sparse"
cp "$outside/sparse" "$heap/a"
check 'holes of a sparse file read zero in a buffer that had other bytes' cmp "$outside/sparse" "$heap/a"

cp <(printf 'from a pipe') "$heap/pipe"
check 'a pipe can be copied into a buffer' test "$(cat "$heap/pipe")" = 'from a pipe'
check 'a buffer can be copied to a pipe' test "$(cp "$heap/pipe" /dev/stdout)" = 'from a pipe'
cp "$mnt/status" "$outside/status"
check 'the status file can be copied' quiet jq -e .heaps "$outside/status"
cp /proc/self/mountinfo "$heap/mountinfo"
check 'a file that does not tell its size is copied to its end' grep -q fuse.dmabuffs "$heap/mountinfo"

mkdir "$outside/tree" "$outside/tree/sub"
printf 1 >"$outside/tree/one" && printf 2 >"$outside/tree/sub/two"
cp -r "$outside/tree" "$heap"
check 'cp -r copies a directory' diff -r "$outside/tree" "$heap/tree"
cp -r "$heap/tree" "$outside/tree.back"
check 'cp -r copies it back' diff -r "$outside/tree" "$outside/tree.back"
run cp -r "$outside/tree" "$outside/tree/sub/inner"
says 'cp -r does not copy a directory into itself' 1 'into itself'
run cp "$outside/tree" "$heap/directory"
says 'without -r a directory is left out' 1 'omitting directory'

mkdir "$heap/several"
cp "$outside/a" "$outside/sparse" "$heap/several"
check 'several files go into a directory' cmp "$outside/sparse" "$heap/several/sparse"
run cp "$outside/a" "$outside/sparse" "$heap/a"
says 'several files need a directory' 1 'not a directory'
run cp "$outside/none" "$outside/a" "$heap/several"
says 'a missing file is named' 1 "$outside/none: No such file"
check 'and does not keep the others from being copied' cmp "$outside/a" "$heap/several/a"
mkdir "$outside/twice" && printf x >"$outside/twice/a"
run cp "$outside/a" "$outside/twice/a" "$heap/several"
says 'two files of one name do not overwrite each other' 1 'made by this very command'

run cp "$outside/sparse" "$outside/sparse" "$heap/several"
says 'a source that is named twice is copied once, with a warning' 0 "source '$outside/sparse' specified more than once"
run cp -r "$outside/tree" "$outside/tree/" "$heap/several"
is 'so is a directory, with one' "$status $out" "0 dmabuffs: cp: warning: source '$outside/tree/' specified more than once"
check 'once each is there' diff -r "$outside/tree" "$heap/several/tree"

for pair in "$heap/b|$heap/b" "$data/inside|$mnt/files/data/inside" "$mnt/files/data/inside|$data/inside" "$outside/a|$outside/a"; do
    run cp "${pair%|*}" "${pair#*|}"
    says "a file is not copied onto itself (${pair#"$T"/})" 1 'are the same file'
    check 'and keeps its bytes' test "$(stat -c %s "${pair%|*}")" = 5000001
done

chmod 750 "$outside/plain"
cp "$outside/plain" "$outside/mode" && cp "$outside/plain" "$heap/mode" && chmod 444 "$outside/plain" && cp "$outside/plain" "$outside/readonly"
check 'a new file has the mode of its source' test "$(stat -c %a "$outside/mode" "$heap/mode" "$outside/readonly" | xargs)" = '750 750 444'
touch -d '2020-01-02 03:04:05' "$outside/plain"
cp -p "$outside/plain" "$heap/times"
check '-p keeps mode and times' test "$(stat -c '%a %Y' "$heap/times")" = "444 $(stat -c %Y "$outside/plain")"
mkdir -p "$outside/up/inner" "$outside/down" && printf 1 >"$outside/up/one"
cp -r "$outside/up/inner/.." "$outside/down"
check 'cp -r SRC/.. DST fills DST' diff -r "$outside/up" "$outside/down"
rm -r "$outside/down"

ln -s one "$outside/up/link"
mkdir "$outside/down" && cp -r "$outside/up" "$outside/down" && ln -sfn two "$outside/up/link"
check 'cp -r a second time replaces symbolic links' cp -r "$outside/up" "$outside/down"
check 'by what they are now' test "$(readlink "$outside/down/up/link")" = two
cp "$outside/up/one" "$heap/replaced"
cp -r "$outside/up/link" "$heap/replaced"
is 'a symbolic link takes the place of a buffer' "$(readlink "$heap/replaced")" two
cp -r "$heap/replaced" "$outside/back"
is 'and is copied out again' "$(readlink "$outside/back")" two
rm "$heap/replaced" "$outside/back"
printf 2 >"$outside/up/two"
run cp -r "$outside/up/link" "$outside/up/two"
says 'nor the file it leads to' 1 'are the same file'
mkdir "$outside/elsewhere" "$outside/trap" && ln -s ../elsewhere "$outside/trap/up"
run cp -r "$outside/up" "$outside/trap"
says 'a directory does not go where a symbolic link of its name leads' 1 'no directory'
check 'nothing is there' test -z "$(ls "$outside/elsewhere")"
chmod 2750 "$outside/up/inner" && touch -d '2020-01-02 03:04:05' "$outside/up/inner" "$outside/up"
cp -rp "$outside/up" "$outside/kept"
check '-rp keeps mode and times of directories' \
    test "$(stat -c '%a %Y' "$outside/kept" "$outside/kept/inner")" = "$(stat -c '%a %Y' "$outside/up" "$outside/up/inner")"

mkdir "$T/second"
"$DMABUFFS" mount --files data="$data" "$T/second"
run cp "$mnt/files/data/inside" "$T/second/files/data/inside"
says 'a file seen in two mounts is not copied onto itself' 1 'are the same file'
check 'and keeps its bytes there' test "$(stat -c %s "$data/inside")" = 5000001
"$DMABUFFS" umount "$T/second"

run cp -v "$outside/a" "$heap/v"
says '-v tells the path that was taken' 0 "$outside/a -> $heap/v ("

run cp -v "$outside/a" "$heap/"$'new\nline\e[31m'
says '-v shows control characters as ls -b does' 0 'new\nline\033[31m ('
run "$DMABUFFS" info "$heap/"$'new\nline\e[31m'
says 'so does info' 0 'new\nline\033[31m'
is_escaped() { run "$DMABUFFS" "$@"; [[ $out != *$'\e'* && $out == *'new\nline'* ]]; }
check 'and status' is_escaped status "$mnt"
check 'and an error' is_escaped cp "$heap/"$'new\nline\e[31m' "$heap/"$'new\nline\e[31m'
is_json() { "$DMABUFFS" "$@" | jq -e '.. | strings | select(endswith("new\nline\u001b[31m"))' >/dev/null; }
check 'JSON has them as they are' is_json info --json "$heap/"$'new\nline\e[31m'
rm "$heap/"$'new\nline\e[31m'

limited() { (ulimit -f 1024; "$DMABUFFS" cp "$@"); } # KiB
for pair in "$outside/a|$heap/limited" "$heap/a|$outside/limited" "$heap/a|$files/limited" "$outside/a|$outside/limited2"; do
    run limited "${pair%|*}" "${pair#*|}"
    says "ulimit -f holds (${pair#*|})" 1 'File too large; no more than 1.0 MiB'
    check 'up to it, it is copied' cmp -n 1048576 "${pair%|*}" "${pair#*|}"
    check 'and no more' test "$(stat -c %s "${pair#*|}")" = 1048576
done
check 'what is just as large goes' limited "$heap/limited" "$outside/limited"
check 'whole' cmp "$heap/limited" "$outside/limited"

run cp "$outside/a" "$outside/nosuchdir/"
says 'a directory meant as one that is not there is named' 1 "$outside/nosuchdir/: no such directory; make it with mkdir"
run cp "$outside/a" "$outside/plain" "$outside/nosuchdir"
says 'for several files, too' 1 'no such directory; make it with mkdir'
run cp "$outside/a" "$outside/plain/"
says 'and a file meant as one' 1 "$outside/plain/: not a directory"
check 'which stays' test "$(stat -c %s "$outside/plain")" = 5000001
none=$mnt/heaps/none-such
no_heap() { # NAME CP-ARGUMENT...
    run cp "${@:2}"
    says "a heap that is not there, $1: which there are" 1 'there is no heap none-such here'
    check 'and how to get others' grep -q 'there are .*memfd.*doctor' <<<"$out"
}
no_heap 'as a file' "$outside/a" "$none"
no_heap 'as a directory' "$outside/a" "$none/"
no_heap 'for several files' "$outside/a" "$outside/plain" "$none"
no_heap 'for a directory' -r "$outside/tree" "$none"
no_heap 'a file in it' "$outside/a" "$none/x"
no_heap 'deep in it' "$outside/a" "$none/x/y/"
no_heap 'as the source' "$none/x" "$outside/x"
mkdir "$T/unmounted"
run cp "$outside/a" "$T/unmounted/heaps/memfd/"
says 'where no mount is nothing is made with mkdir' 1 "nothing is mounted on $T/unmounted; dmabuffs mount $T/unmounted"
run cp "$outside/a" "$outside/plain" "$T/unmounted/heaps/memfd"
says 'nor for several files' 1 "nothing is mounted on $T/unmounted;"
run cp - "$outside/x"
says 'standard input has a name' 1 '-: No such file or directory; standard input is /dev/stdin'

run cp '' "$outside/x"
says 'an empty name is shown' 1 "'': No such file"
run cp "$outside/a" ''
says 'also as the destination' 1 "'': No such file"
run cp "$outside/a" "$outside/none/x"
says 'a directory that is not there is named' 1 "$outside/none/x: no directory"
run cp "$outside/a"
says 'cp needs two names' 2 ''
run cp --wrong "$outside/a" "$heap/a"
says 'cp knows no other options' 2 ''
run cp -a "$outside/a" "$heap/a"
says 'for one of cp(1) it says what to use' 2 'use -rp'
run cp --preserve=mode "$outside/a" "$heap/a"
says 'also for one that is known without a value' 2 '-p keeps mode, owner and times'
run "$DMABUFFS" cp --help
says 'its help is in plain words' 0 $'SRC...DST  '
ended=1
