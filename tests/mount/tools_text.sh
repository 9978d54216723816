#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The everyday tools that look at a file and change it.
source "$(dirname "$0")/lib.sh"
mount_it
random 1234567 >"$outside/bytes"
cp "$outside/bytes" "$heap/bytes"
both() { is "$1" "$(cd "$heap" && eval "$2")" "$(cd "$outside" && eval "$2")"; } # NAME COMMAND

both 'sha256sum' 'sha256sum bytes'
both 'sha256sum of standard input' 'sha256sum <bytes'
both 'od' 'od -An -tx1 -j 1234500 bytes'
both 'tail -c' 'tail -c 1000 bytes | cksum'
both 'head -c' 'head -c 100001 bytes | cksum'
both 'wc -c' 'wc -c bytes'
both 'gzip' 'gzip -c bytes | gzip -d | cksum'
if command -v xxd >/dev/null; then
    both 'xxd' 'xxd -s -50 bytes'
    echo '00000010: ffee' | xxd -r - "$heap/bytes"
    echo '00000010: ffee' | xxd -r - "$outside/bytes"
    same 'xxd -r patches bytes' "$outside/bytes" "$heap/bytes"
fi
seq 1 20000 >"$outside/text"
cp "$outside/text" "$heap/text"
both 'grep' 'grep -c 7 text'
both 'sort' 'sort -R text | sort -n | cksum'
both 'diff' 'diff bytes text'
for place in "$heap" "$outside"; do
    (cd "$place" && sed -i 's/9/nine/' text && sort -o text text && printf 'w\n' | dd of=text bs=1 seek=10 conv=notrunc status=none)
done
same 'sed -i, sort -o and a patch' "$outside/text" "$heap/text"
chmod 600 "$heap/text" && sed -i 's/nine/9/' "$heap/text"
is 'sed -i keeps the mode' "$(stat -c %a "$heap/text")" 600
touch -d '2001-02-03 04:05:06.789' "$heap/text"
is 'touch sets the time' "$(stat -c %y "$heap/text" | cut -c1-23)" "$(date -d '2001-02-03 04:05:06.789' '+%F %T.789')"
before=$(stat -c %Y "$heap/text")
echo more >>"$heap/text"
check 'writing sets the time' test "$(stat -c %Y "$heap/text")" -gt "$before"
touch -d '2001-02-03' "$heap/text"
cp "$outside/text" "$files/text" && cp "$files/text" "$heap/text"
check 'a direct copy sets the time' test "$(stat -c %Y "$heap/text")" -gt "$before"
shred -n 1 -x "$heap/text"
check 'shred' refuses cmp -s "$outside/text" "$heap/text"
mkdir -p "$heap/d/e" && cp "$heap/text" "$heap/d/e/f"
is 'find sees names, kinds and sizes' "$(cd "$heap" && find d -printf '%p %y %s\n' | grep ' f ')" "d/e/f f $(size_of "$heap/text")"
is 'find -size' "$(cd "$heap" && find . -size +2000 -type f)" ./bytes
is 'find -inum' "$(find "$heap" -inum "$(stat -c %i "$heap/d/e/f")")" "$heap/d/e/f"
is 'find -newer' "$(touch -d '2001-01-01' "$heap/bytes" && cd "$heap" && find . -type f ! -newer bytes)" ./bytes
is 'ls tells the names' "$(ls "$mnt")" "$(printf '%s\n' files heaps status views)"
check 'two users of flock exclude each other' flock -n "$heap/text" -c "! flock -n '$heap/text' true"
