#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `dmabuffs diff`: bytes and pixels, its statuses, its JSON and its picture.
source "$(dirname "$0")/lib.sh"
lib=$(cd "$(dirname "$0")/../lib" && pwd)
mount_it -o size=64M
cd "$T" || exit
differ() { "$DMABUFFS" diff "$@"; }
told() { run differ "${@:4}"; says "$1" "$2" "$3"; }          # NAME STATUS SENTENCE ARGUMENT...
json() { differ --json "${@:2}" 2>/dev/null | jq -c "$1"; }    # EXPRESSION ARGUMENT...
# shellcheck disable=SC2059 # a byte
poke() { printf "\\x$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; } # FILE OFFSET BYTE
frame='--format NV12 --size 1920x1080'

# Two frames, one of them with one changed pixel.
head -c 3110400 /dev/urandom >a.yuv
poke a.yuv $((540 * 1920 + 960)) 10
cp a.yuv b.yuv
cp a.yuv "$heap/a"
# shellcheck disable=SC2086 # words
{
    told 'the same frame' 0 'the same: 2073600 pixels, NV12 1920x1080' $frame a.yuv "$heap/a"
    poke b.yuv $((540 * 1920 + 960)) 17
    told 'one changed pixel' 1 'first: byte 1037760 (0xfd5c0), counted from 0: plane 0 (Y), x 960, y 540, Y 16 against 23' $frame "$heap/a" b.yuv
    says 'is counted' 1 'pixels: 1 of 2073600 differ (4.823e-05%)'
    says 'with its distance' 1 'largest difference: Y 7 U 0 V 0'
    says 'and how much it is in all' 1 'PSNR: 96.16 dB'
    is 'as JSON' "$(json '[.same, .first.byte, .first.plane, .first.channel, .first.x, .first.y, .first.value, .first.frame, .pixels, .pixels_differ, .largest, .bytes_differ]' $frame a.yuv b.yuv)" \
        '[false,[1037760,1037760],0,"Y",960,540,[16,23],0,2073600,1,{"U":0,"V":0,"Y":7},null]'
    told 'within the tolerance' 0 'the same: within the tolerance: 2073600 pixels' --tolerance 7 $frame a.yuv b.yuv
    told 'and not' 1 'pixels: 1 of' --tolerance 6 $frame a.yuv b.yuv
}
head -c 86400 a.yuv >a.small
cp a.small b.small
poke b.small $((90 * 320 + 160)) "$(printf %02x $((0x$(xxd -s $((90 * 320 + 160)) -l 1 -p a.small) ^ 1)))"
small=(--format NV12 --size 320x180)
run differ "${small[@]}" --image marked.png a.small b.small
is '--image changes no status' "$status" 1
differ "${small[@]}" --image none.png a.small a.small >/dev/null
"$lib/read-png" marked.png --raw >marked.rows
"$lib/read-png" none.png --raw >none.rows
is 'and marks it in red' "$("$lib/read-png" marked.png 160,90 | tail -n 1)" '255 0 0'
is 'nothing else is' "$(cmp -l marked.rows none.rows | awk '{ print int(($1 - 1) / 3) }' | sort -u)" $((90 * 320 + 160))
is 'the rest is grey and dark' "$(python3 -c '
data = open("none.rows", "rb").read()
print(data[::3] == data[1::3] == data[2::3], max(data) <= 85, len(set(data)) > 40)')" 'True True True'

# Names, and what is known of one side only.
head -c 24 /dev/zero >one_4x4_nv12.yuv
head -c 24 /dev/zero >other.yuv
poke other.yuv 21 05
told 'a chroma sample' 1 'first: byte 20 (0x14), counted from 0: plane 1 (UV), x 0, y 2, V 0 against 5' one_4x4_nv12.yuv other.yuv
says 'is about four pixels' 1 'pixels: 4 of 16 differ (25%)'
says 'what it is the name says' 1 'one_4x4_nv12.yuv: taken for NV12 4x4 by its name'
says 'and the other file' 1 'other.yuv: taken for NV12 4x4, as the other file is'
: >empty
told 'an empty file' 1 'one is empty' other.yuv empty
head -c 23 /dev/zero >short.yuv
told 'a file that is too short for it' 2 'short.yuv: which picture? --format F --size WxH; the other file is NV12:4x4' one_4x4_nv12.yuv short.yuv

# Strides, padding, frames.
python3 -c '
import sys
open("tight_6x2_r8.raw", "wb").write(bytes(range(12)))
open("padded.raw", "wb").write(bytes(range(6)) + b"xx" + bytes(range(6, 12)) + b"yy")
open("other.raw", "wb").write(bytes(range(6)) + b"xx" + bytes(range(6, 12)) + b"zz")'
cp padded.raw "$heap/padded"
padded=(--format R8 --size 6x2 --stride 8)
told 'only the padding differs' 0 'bits of these frames that are no pixels differ' "${padded[@]}" "$heap/padded" other.raw
is 'as JSON' "$(json '[.same, .padding_differs]' "${padded[@]}" padded.raw other.raw)" '[true,true]'
is 'the same bytes have none' "$(json '[.same, .padding_differs, .psnr, .first]' "${padded[@]}" padded.raw padded.raw)" '[true,false,null,null]'
poke other.raw 9 ff
told 'a pixel of padded rows' 1 'byte 9 (0x9), counted from 0: plane 0 (Y), x 1, y 1, Y 7 against 255' "${padded[@]}" padded.raw other.raw
cat one_4x4_nv12.yuv{,,} >three_4x4_nv12.yuv
cp three_4x4_nv12.yuv changed_4x4_nv12.yuv
poke changed_4x4_nv12.yuv $((2 * 24 + 6)) 01
told 'the third frame' 1 'first: byte 54 (0x36), counted from 0: frame 2, plane 0 (Y), x 2, y 1' three_4x4_nv12.yuv changed_4x4_nv12.yuv
says 'of all' 1 'pixels: 1 of 48'
told 'not the second' 0 'the same: 16 pixels' --frame 1 three_4x4_nv12.yuv changed_4x4_nv12.yuv
told 'but that alone, too' 1 'first: byte 54 (0x36)' --frame 2 three_4x4_nv12.yuv changed_4x4_nv12.yuv
told 'no such frame' 2 'three_4x4_nv12.yuv: it has no frame 3, but 3 frames, 0 to 2' --frame 3 three_4x4_nv12.yuv changed_4x4_nv12.yuv
told 'no number of a frame' 2 "--frame: '-1' is no number from 0 on" --frame -1 three_4x4_nv12.yuv changed_4x4_nv12.yuv
told 'a frame fewer' 1 'frames: 1 and 3' one_4x4_nv12.yuv three_4x4_nv12.yuv
says 'those that both have' 1 'the first frame is the same: 16 pixels, NV12 4x4'
differ --image third.png three_4x4_nv12.yuv changed_4x4_nv12.yuv >/dev/null 2>&1
is 'the image is of the frame that differs' "$("$lib/read-png" third.png 2,1 | tail -n 1)" '255 0 0'

# Whole frames of both, and what lies behind them.
random 25 >tail.raw
cat three_4x4_nv12.yuv <(head -c 20 tail.raw) >cut.raw
cp cut.raw other
picture=(--format NV12 --size 4x4)
told 'a file that was cut off in a frame' 0 'the same: 3 frames, 48 pixels' "${picture[@]}" cut.raw other
says 'what lies behind is compared' 0 'behind the last whole frame: 20 bytes, the same'
poke other 30 01
told 'a frame behind the first' 1 'first: byte 30 (0x1e), counted from 0: frame 1, plane 0 (Y), x 2, y 1' "${picture[@]}" cut.raw other
cp other "$heap/cut"
"$DMABUFFS" format "${picture[@]}" "$heap/cut"
told 'also of a buffer that knows its picture' 1 'frame 1, plane 0 (Y), x 2, y 1' "$heap/cut" cut.raw
cp cut.raw other
poke other 80 "$(printf %02x $((0x$(xxd -s 80 -l 1 -p cut.raw) ^ 1)))"
told 'only what lies behind differs' 1 'behind the last whole frame: 20 bytes, which differ, first in byte 80 (0x50)' "${picture[@]}" cut.raw other
is 'as JSON' "$(json '[.same, .pixels_differ, .frames, .behind]' "${picture[@]}" cut.raw other)" '[false,0,[3,3],{"bytes":[20,20],"differ":true}]'
told 'one frame is that alone' 0 'the same: 16 pixels' "${picture[@]}" --frame 2 cut.raw other
cat cut.raw <(tail -c 3 tail.raw) >longer
told 'there are more bytes' 1 'behind the last whole frame: 20 bytes of the one, 23 bytes of the other' "${picture[@]}" cut.raw longer
is 'none' "$(json .behind "${picture[@]}" three_4x4_nv12.yuv three_4x4_nv12.yuv)" null

# Bits of pixels that are no samples.
head -c 64 /dev/zero >x0
cp x0 x1
poke x1 7 ff
told 'the X of XR24' 0 'bits of these frames that are no pixels differ' --format XR24 --size 4x4 x0 x1
"$DMABUFFS" create --format XR24 --size 4x4 "$heap/x"
poke "$heap/x" 7 ff
told 'also between rows that lie differently' 0 'bits of these frames that are no pixels differ' "$heap/x" x0
cp x0 x1
poke x1 2 3f
told 'the lower bits of P010' 0 'bits of these frames that are no pixels differ' --format P010 --size 4x4 --frame 0 x0 x1
poke x1 2 7f
told 'the upper ones are pixels' 1 'Y 0 against 1' --format P010 --size 4x4 --frame 0 x0 x1

# A buffer with padded rows, and files without padding.
"$DMABUFFS" create --format NV12 --size 200x100 "$heap/pitched"
random 30000 >frame
python3 - frame "$heap/pitched" <<'PY'
import sys
data = open(sys.argv[1], 'rb').read()
with open(sys.argv[2], 'r+b') as buffer:
    for row in range(150):
        buffer.seek(row * 256 + (28672 - 25600 if row >= 100 else 0))
        buffer.write(data[row * 200:row * 200 + 200])
PY
cat frame{,,,} >four
told 'a file of that picture' 0 'frame: taken for NV12 200x100, as the other file is' "$heap/pitched" frame
told 'one of several has no padding either' 0 'the same: 20000 pixels' --frame 0 "$heap/pitched" four
told 'which are more frames' 1 'the first frame is the same' "$heap/pitched" four
says 'and told' 1 'frames: 1 and 4'
cp "$heap/pitched" dump
told 'a copy of the buffer has its rows' 0 'dump: taken for NV12:200x100:stride=256,256:offset=0,28672, as the other file is' "$heap/pitched" dump
told 'what the buffer knows goes before the options' 1 'pitched: compared as NV12:200x100:stride=256,256:offset=0,28672, as its mount was told, not as the options say' \
    --format NV12 --size 200x100 --stride 256 "$heap/pitched" dump
is 'where they say the same nothing is said' "$(differ --format NV12 --size 200x100 "$heap/pitched" frame 2>&1 >/dev/null)" ''

# Other pictures are different ones.
head -c 24 /dev/zero >one_4x6_r8.raw
head -c 24 /dev/zero >one_6x4_r8.raw
told 'another size' 1 'different pictures: R8:4x6:stride=4:offset=0 and R8:6x4:stride=6:offset=0' one_4x6_r8.raw one_6x4_r8.raw
told 'another format' 1 'different pictures: NV12:4x4:stride=4,4:offset=0,16 and R8:4x6:stride=4:offset=0' one_4x4_nv12.yuv one_4x6_r8.raw
echo before >image.png
told 'of those there is no image' 1 'image.png: not written; of pictures of different formats or sizes there is no image' --image image.png one_4x4_nv12.yuv one_4x6_r8.raw
is 'which leaves what was there' "$(cat image.png)" before
is 'as JSON' "$(json '[.same, .formats[1], .pixels]' one_4x4_nv12.yuv one_4x6_r8.raw)" '[false,"R8:4x6:stride=4:offset=0",null]'

# Bytes.
random 3000000 >bytes
cp bytes others
told 'the same bytes' 0 'the same: 3000000 bytes' bytes others
byte=$(xxd -s 2000000 -l 1 -p bytes)
poke others 2000000 "$(printf %02x $((0x$byte ^ 1)))"
poke others 2500000 00
poke bytes 2500000 ff
told 'others' 1 "first: byte 2000000 (0x1e8480), counted from 0: 0x$byte against 0x$(printf %02x $((0x$byte ^ 1)))" bytes others
says 'are counted' 1 'bytes: 2 of 3000000 differ (6.667e-05%)'
is 'as JSON' "$(json '[.same, .bytes_differ, .first.byte, .sizes, .formats]' bytes others)" '[false,2,[2000000,2000000],[3000000,3000000],null]'
is 'as cmp counts, from 1' "$(cmp -l bytes others | awk 'NR == 1 { print $1 }')" 2000001
head -c 2000000 bytes >short
told 'a shorter file' 1 'the first 2000000 bytes are the same' bytes short
says 'has its size told' 1 'bytes: 3000000 bytes; short: 2000000 bytes'
differ - bytes <others >piped
head -c 3000000 others | differ - bytes >pipe
same 'standard input, a file or a pipe' piped pipe
is 'is a side' "$(head -n 1 pipe | cut -d, -f1)" 'first: byte 2000000 (0x1e8480)'

# Trouble.
told 'no file' 2 'absent: No such file' bytes absent
told 'a directory' 2 'a directory; name a file in it' "$heap" bytes
told 'twice standard input' 2 'one file, not two' - -
told 'a picture that does not fit' 2 'R8: plane 0 of 3000x1001' --format R8 --size 3000x1001 bytes others
told 'a word that is no format' 2 'QQQQ' --format QQQQ --size 4x4 bytes others
told 'no tolerance' 2 "--tolerance: 'x' is no number from 0 to 65535" --tolerance x bytes others
told 'an image of bytes' 2 '--image is of pictures: which?' --image out.png bytes others
told 'an image between the lines of the report' 2 '--image OUT.png' --image - one_4x4_nv12.yuv other.yuv
told 'an image onto what is compared' 2 "'other.yuv' and './other.yuv' are the same file" --image ./other.yuv one_4x4_nv12.yuv other.yuv
told 'an image that can be put nowhere' 2 'none/out.png: No such file' --image none/out.png one_4x4_nv12.yuv other.yuv
told 'an image on a full disk' 2 '/dev/full: No space left' --image /dev/full one_4x4_nv12.yuv other.yuv
differ bytes others 2>err >/dev/full
is 'a full standard output' "$? $(cat err)" '2 dmabuffs: standard output: No space left on device'
tiled=(--format XR24 --size 4x4 --modifier I915_X_TILED)
head -c 64 /dev/urandom >tiles
told 'of tiles bytes are compared' 0 'the same: 64 bytes' "${tiled[@]}" tiles tiles
says 'which is said' 0 'only bytes are compared: its pixels are tiled (modifier I915_X_TILED'
told 'of which there is no image' 2 'no image: its pixels are tiled' --image out.png "${tiled[@]}" tiles tiles
