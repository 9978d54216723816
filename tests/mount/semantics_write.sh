#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Every way to write leaves the bytes it leaves in an ordinary file.
source "$(dirname "$0")/lib.sh"
mount_it
buffer=$heap/buffer model=$outside/model
random 3000000 >"$outside/bytes"
both() { "$@" of="$buffer" status=none && "$@" of="$model" status=none; } # dd WORDS...
fresh() { cp "$outside/bytes" "$buffer" && cp "$outside/bytes" "$model"; }

fresh
both dd if="$outside/bytes" bs=1 count=3001
same 'dd bs=1' "$model" "$buffer"
for size in $(scaled '7 511 4095 4097 65537 1048577' '7 4097 1048577'); do
    fresh
    both dd if="$outside/bytes" bs="$size" skip=1 seek=2 count=3
    same "dd bs=$size skip seek, which cuts and grows" "$model" "$buffer"
    fresh
    both dd if="$outside/bytes" bs="$size" skip=2 seek=1 count=2 conv=notrunc
    same "dd bs=$size conv=notrunc" "$model" "$buffer"
done
rm "$buffer" "$model"
both dd if="$outside/bytes" bs=100000 seek=3 count=2
same 'dd seek into a new file: zeros before' "$model" "$buffer"
both dd if="$outside/bytes" bs=1000 seek=9000 count=1 conv=notrunc
same 'dd seek far beyond the end: zeros between' "$model" "$buffer"
fresh
both dd if="$outside/bytes" bs=1000 count=3 oflag=append conv=notrunc
same 'dd oflag=append' "$model" "$buffer"

dd if="$outside/bytes" of="$buffer" bs=65536 oflag=direct status=none
same 'dd oflag=direct, the last piece odd' "$outside/bytes" "$buffer"
dd if="$outside/bytes" of="$buffer" bs=1000 oflag=direct status=none
same 'dd oflag=direct in pieces of 1000 bytes' "$outside/bytes" "$buffer"
dd if="$buffer" of="$outside/back" bs=1M iflag=direct status=none
same 'dd iflag=direct' "$outside/bytes" "$outside/back"
dd if="$buffer" of="$outside/back" bs=4095 iflag=direct status=none
same 'dd iflag=direct in pieces of 4095 bytes' "$outside/bytes" "$outside/back"
dd if="$buffer" of="$outside/back" bs=1 skip=2999990 status=none
check 'dd skip reads to the end and no further' cmp "$outside/back" <(tail -c 10 "$outside/bytes")
is 'reading beyond the end gives nothing' "$(dd if="$buffer" bs=1M skip=100 status=none | wc -c)" 0

truncate -s 2000001 "$outside/sparse" && cat "$outside/bytes" >>"$outside/sparse"
dd if="$outside/sparse" of="$buffer" bs=4096 conv=sparse status=none
same 'dd conv=sparse' "$outside/sparse" "$buffer"

cat "$outside/bytes" >"$buffer"
same 'cat > buffer' "$outside/bytes" "$buffer"
cat "$outside/bytes" "$outside/bytes" >"$model"
cat "$outside/bytes" >>"$buffer"
same 'cat >> buffer' "$model" "$buffer"
check 'cat buffer | cmp' cmp "$model" <(cat "$buffer")
tee "$buffer" <"$outside/bytes" >/dev/null
same 'tee' "$outside/bytes" "$buffer"
tee -a "$buffer" <"$outside/bytes" >/dev/null
same 'tee -a' "$model" "$buffer"
lines=$(scaled 200 50)
for ((i = 0; i < lines; i++)); do echo "line $i" >>"$heap/lines"; echo "line $i" >>"$outside/lines"; done
same 'many lines by >>' "$outside/lines" "$heap/lines"
for writer in a b c d; do
    (for ((i = 0; i < 100; i++)); do echo "$writer $i"; done >>"$heap/together") &
done
wait
is 'lines that four processes append at once: none is lost or torn' \
    "$(grep -Ec '^[abcd] [0-9]+$' "$heap/together") $(sort -u "$heap/together" | wc -l)" '400 400'
exec 5<>"$heap/both"
printf 'hello world' >&5
is 'what is written is read by another at once' "$(cat "$heap/both")" 'hello world'
printf 'HELLO' | dd of="$heap/both" conv=notrunc status=none
is 'and the other way round' "$(cat /proc/self/fd/5)" 'HELLO world'
exec 5>&-
