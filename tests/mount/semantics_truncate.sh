#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What truncate and fallocate leave: bytes that were kept, and zeros.
source "$(dirname "$0")/lib.sh"
mount_it
buffer=$heap/buffer model=$outside/model
random 1000000 >"$outside/bytes"
each() { # COMMAND...: done to a buffer and to an ordinary file, whose path is its last argument
    "$@" "$buffer" && "$@" "$model"
}

cp "$outside/bytes" "$model" && cp "$outside/bytes" "$buffer"
for size in $(scaled '999999 4097 4096 4095 1 0 5000 4096 8193 3000000 10' '999999 4095 0 5000 3000000 10'); do
    each truncate -s "$size"
    same "truncate to $size" "$model" "$buffer"
done
cp "$outside/bytes" "$model" && cp "$outside/bytes" "$buffer"
each truncate -s 300001 && each truncate -s 900000
same 'what a shrink cut off is zero when it grows again' "$model" "$buffer"
each truncate -s +7 && each truncate -s %4096
same 'truncate relative to the size' "$model" "$buffer"
each truncate -s "$(size_of "$buffer")"
same 'truncate to the same size changes nothing' "$model" "$buffer"
run truncate -s 8E "$buffer"
check 'a size no file can have is refused' test "$status" != 0
same 'and changes nothing' "$model" "$buffer"

cp "$outside/bytes" "$model" && cp "$outside/bytes" "$buffer"
each fallocate -l 2000000
same 'fallocate grows with zeros and keeps the bytes' "$model" "$buffer"
each fallocate -l 1000
same 'fallocate never shrinks' "$model" "$buffer"
each fallocate -n -l 4000000
same 'fallocate -n keeps the size' "$model" "$buffer"
each fallocate -p -o 5000 -l 100001
same 'fallocate -p makes zeros' "$model" "$buffer"
each fallocate -p -o 1999000 -l 100000
same 'also across the end, which stays' "$model" "$buffer"
each fallocate -z -o 700 -l 5000
same 'fallocate -z makes zeros' "$model" "$buffer"
each fallocate -z -o 1999999 -l 5000
same 'and grows the file' "$model" "$buffer"
each fallocate -z -n -o 2004000 -l 90000
same 'unless told not to' "$model" "$buffer"
each truncate -s 3000000
same 'what was allocated beyond the end is zero' "$model" "$buffer"
run fallocate -c -o 0 -l 4096 "$buffer"
check 'collapsing a range is refused' test "$status" != 0
same 'and changes nothing' "$model" "$buffer"

fallocate -l 700001 "$heap/fresh"
check 'a new buffer made by fallocate is zero' cmp -n 700001 "$heap/fresh" /dev/zero
is 'and as long as asked' "$(size_of "$heap/fresh")" 700001
cat "$outside/bytes" >"$heap/fresh"
: >"$heap/fresh"
is 'O_TRUNC empties' "$(size_of "$heap/fresh")" 0
truncate -s 1000000 "$heap/fresh"
check 'and what comes after is zero' cmp -n 1000000 "$heap/fresh" /dev/zero
