#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `dmabuffs hex`: lines as xxd(1) prints them, with the plane and row they are of.
source "$(dirname "$0")/lib.sh"
mount_it -o size=64M
cd "$T" || exit
hex() { "$DMABUFFS" hex "$@"; }
random 1000003 >bytes
cp bytes "$heap/bytes"
hex bytes >ours
xxd bytes >theirs
same 'a file as xxd prints it' ours theirs
hex "$heap/bytes" >ours
same 'a buffer, too' ours theirs
hex - <bytes >ours
same 'and standard input' ours theirs
hex bytes | hex - >ours
xxd bytes | xxd >piped
same 'and a pipe' ours piped
range() { # NAME OFFSET LENGTH FIRST COUNT: the words, and the numbers that they mean
    # shellcheck disable=SC2086 # none or one
    hex bytes "$2" $3 >ours
    xxd -s "$4" ${5:+-l "$5"} bytes >theirs
    same "$1" ours theirs
    # shellcheck disable=SC2086
    head -c 1000003 bytes | hex - "$2" $3 >ours
    same "$1, of a pipe" ours theirs
}
range 'from an offset' 5 '' 5 ''
range 'some bytes' 100 37 100 37
range 'in hexadecimal' 0x1f4 0x20 500 32
range 'with suffixes' 2K 1k 2048 1024
range 'more than there is' 1000000 1M 1000000 1048576
range 'none' 1000003 '' 1000003 ''
true >empty
is 'an empty file' "$(hex empty)" ''
is 'a file of /proc' "$(hex /proc/version | xxd -r | head -c 13)" 'Linux version'
is 'a file whose name is only digits and letters of hexadecimal' "$(cp bytes ff && hex ff 0 16)" "$(xxd -l 16 bytes)"

head -c 24 /dev/zero >small_4x4_nv12.yuv
run hex small_4x4_nv12.yuv
says 'a file whose name says what it is' 0 'taken for NV12 4x4 by its name'
is 'has plane and row' "$(hex small_4x4_nv12.yuv 2>/dev/null | cut -c 68- | xargs)" 'Y 0 UV 0'
is 'of the place asked for' "$(hex small_4x4_nv12.yuv 8 4 2>/dev/null | cut -c 68-)" '  Y  2'
is 'not so with --plain' "$(hex --plain small_4x4_nv12.yuv 2>&1)" "$(xxd small_4x4_nv12.yuv)"
is 'by options' "$(hex --format XR24 --size 4x4 --stride 32 --offset 64 bytes 48 96 | cut -c 70- | xargs)" '- RGB 0 - RGB 1 - RGB 2'

refused() { run hex "${@:4}"; says "$1" "$2" "$3"; } # NAME STATUS SENTENCE ARGUMENT...
refused 'an offset beyond the end' 1 'bytes: it has 1000003 bytes, none at 1000004' bytes 1000004
refused 'no number' 2 "'1z' is no number of bytes; write 4096, 0x1000 or 4K" bytes 1z
refused 'a part of what' 2 "'5%' is no number" bytes 5%
refused 'too large' 2 'is no number' bytes 0x1ffffffffffffffff
refused 'no file' 1 'absent: No such file' absent
refused 'a directory' 1 'a directory; name a file in it' .
refused 'a word too many' 2 'one word too many: 3' bytes 1 2 3
is 'a full disk' "$(hex bytes 2>&1 >/dev/full)" 'dmabuffs: standard output: No space left on device'
is 'a pipe that is closed ends it in silence' "$(hex bytes 2>&1 | head -n 1)" "$(xxd -l 16 bytes)"
hex bytes 2>err | head -n 1 >line
is 'as it ends others' "${PIPESTATUS[0]}" 141
is 'in silence' "$(cat err)" ''
is 'also where SIGPIPE is ignored' "$( (trap '' PIPE; hex bytes 2>&1 1>&3 | cat >&2) 3> >(head -n 1 >/dev/null) 2>&1)" ''
is 'which does not keep it from ending' "$(timeout 20 bash -c 'trap "" PIPE; "$0" hex /dev/zero 2>err | head -n 1 >line; cat err' "$DMABUFFS")" ''
