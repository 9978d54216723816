#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `dmabuffs view`: the picture in a file as a PNG, which is read here without libpng, and on a terminal.
# timeout: 300
source "$(dirname "$0")/lib.sh"
lib=$(cd "$(dirname "$0")/../lib" && pwd)
mount_it -o size=64M
cd "$T" || exit
view() { "$DMABUFFS" view "$@"; }
png() { "$lib/read-png" "$@" | xargs; } # FILE X,Y...: all in one line
nothing_left() { [[ ! $(find . -name "$1.*") ]]; }

# 40 x 30 of XR24: blue grows to the right, green downwards, a red pixel at 7,9.
python3 -c '
import sys
for y in range(30):
    for x in range(40):
        sys.stdout.buffer.write(bytes([0, 0, 255, 0] if (x, y) == (7, 9) else [x * 6, y * 8, 0, 99]))' >frame_40x30_xr24.raw
run view frame_40x30_xr24.raw -o out.png
says 'a file whose name says what it is' 0 'frame_40x30_xr24.raw: taken for XR24 40x30 by its name'
is 'is shown' "$(png out.png 0,0 39,0 0,29 7,9)" '40x30 3 0 0 0 0 0 234 0 232 0 255 0 0'
is 'a new file has the usual mode' "$(stat -c %a out.png)" "$(true >plain && stat -c %a plain)"
cp frame_40x30_xr24.raw "$heap/frame"
check 'a buffer, with options' view "$heap/frame" --format XR24 --size 40x30 -o buffer.png
same 'is the same picture' out.png buffer.png
cp frame_40x30_xr24.raw "$heap/frame_40x30_xr24"
check 'a buffer whose name says it' view "$heap/frame_40x30_xr24" -o "$heap/named.png"
same 'and its picture in a buffer' out.png "$heap/named.png"
view - --format XR24 --size 40x30 -o - <frame_40x30_xr24.raw >piped.png
same 'standard input and output' out.png piped.png
cat frame_40x30_xr24.raw /dev/zero 2>/dev/null | view - --format XR24 --size 40x30 -o piped.png
same 'of a pipe that does not end what the picture takes' out.png piped.png
mkfifo fifo_40x30_xr24
cat frame_40x30_xr24.raw >fifo_40x30_xr24 &
check 'a FIFO, by its name' view fifo_40x30_xr24 -o piped.png
same 'whole' out.png piped.png
check 'only the size: the name says the rest' view frame_40x30_xr24.raw --size 20x30 --stride 160 -o half.png
is 'half of each row' "$(png half.png 19,0)" '20x30 3 0 0 114'
check 'one channel' view frame_40x30_xr24.raw --channel G -o green.png
is 'in grey' "$(png green.png 0,29 7,9)" '40x30 3 232 232 232 0 0 0'
check 'with alpha' view frame_40x30_xr24.raw --format AR24 -o alpha.png
is 'which is kept' "$(png alpha.png 0,29)" '40x30 4 0 232 0 99'
{ head -c 4800 /dev/zero; cat frame_40x30_xr24.raw; } >two_40x30_xr24.raw
check 'the second frame of two' view two_40x30_xr24.raw --frame 1 -o second.png
same 'is that' out.png second.png
run view two_40x30_xr24.raw --frame 2 -o third.png
says 'there is no third' 1 'two_40x30_xr24.raw: it has no frame 2, but 2 frames, 0 to 1'
refuses test -e third.png && pass 'and none is written' || miss 'and none is written'

# Grey in every colour space; white of limited range is brighter than that of full range.
python3 -c 'import sys; sys.stdout.buffer.write(bytes([235] * 4 + [126] * 12) + bytes([128] * 8))' >small_4x4_nv12.yuv
check 'NV12' view small_4x4_nv12.yuv -o yuv.png
is 'limited range' "$(png yuv.png 0,0 0,1)" '4x4 3 255 255 255 128 128 128'
check 'and full range' view small_4x4_nv12.yuv --range full --colorspace bt2020 -o full.png
is 'which is as it is' "$(png full.png 0,0 0,1)" '4x4 3 235 235 235 126 126 126'
python3 -c 'import sys; sys.stdout.buffer.write(bytes([81] * 16) + bytes([90, 240] * 4))' >red_4x4_nv12.yuv
check 'a colour by one matrix' view red_4x4_nv12.yuv --colorspace bt601 -o 601.png
check 'and by another' view red_4x4_nv12.yuv --colorspace bt709 -o 709.png
check 'is another' refuses cmp -s 601.png 709.png

# Errors: object, reason, remedy.
cp frame_40x30_xr24.raw unknown.raw
refused() { run view "${@:4}"; says "$1" "$2" "$3"; } # NAME STATUS SENTENCE ARGUMENT...
refused 'nobody says which picture' 2 'unknown.raw: which picture? --format F --size WxH' unknown.raw -o none.png
cp unknown.raw "$heap/unknown"
refused 'of a buffer it can be said for all' 2 "; once for all: dmabuffs format --format F --size WxH $heap/unknown" "$heap/unknown" -o none.png
refused 'no place to write to' 2 'where to? -o OUT.png, or -o - for standard output' unknown.raw --format XR24 --size 40x30
refused 'a picture larger than the file' 1 'unknown.raw: XR24: plane 0 of 40x31' unknown.raw --format XR24 --size 40x31 -o none.png
refused 'no format' 2 'NV99' unknown.raw --format NV99 --size 40x30 -o none.png
refused 'no size' 2 "40*30" unknown.raw --format XR24 --size '40*30' -o none.png
refused 'a channel that it has not' 2 'Q' unknown.raw --format XR24 --size 40x30 --channel Q -o none.png
refused 'a frame before the first' 2 "--frame: '-1' is no number from 0 on" unknown.raw --format XR24 --size 40x30 --frame -1 -o none.png
refused 'a word that is no frame' 2 "--frame: 'abc' is no number from 0 on" unknown.raw --format XR24 --size 40x30 --frame abc -o none.png
refused 'a frame far away' 1 'it has no frame 18446744073709551615' unknown.raw --format XR24 --size 40x30 --frame 18446744073709551615 -o none.png
refused 'tiles' 1 'I915_X_TILED' unknown.raw --format XR24 --size 40x30 --modifier I915_X_TILED -o none.png
refused 'no file' 1 'absent: No such file' absent -o none.png
refused 'a directory' 1 'a directory; name a file in it' "$heap" -o none.png
refused 'a directory to write to' 1 'a directory; name a file in it' frame_40x30_xr24.raw -o "$data"
refused 'an empty file' 1 'and there are 0' /dev/null --format R8 --size 4x4 -o none.png
cp unknown.raw onto.raw
ln onto.raw other.raw
refused 'a picture onto what it is made of' 1 "'onto.raw' and 'onto.raw' are the same file" onto.raw --format XR24 --size 40x30 -o onto.raw
refused 'by another name' 1 'are the same file' onto.raw --format XR24 --size 40x30 -o other.raw
refused 'a buffer, too' 1 'are the same file' "$heap/frame" --format XR24 --size 40x30 -o "$heap/frame"
cp unknown.raw data/shown.raw
refused 'a file of the host that the mount shows' 1 'are the same file' "$files/shown.raw" --format XR24 --size 40x30 -o data/shown.raw
check 'which are as they were' cmp unknown.raw onto.raw
check 'all of them' cmp unknown.raw data/shown.raw
run bash -c '"$0" view - --format XR24 --size 40x30 -o onto.raw <onto.raw' "$DMABUFFS"
says 'standard input, too' 1 "'standard input' and 'onto.raw' are the same file"
ln -s nowhere dangling.png
refused 'a link that leads nowhere' 1 'dangling.png: not writing through a dangling symbolic link' frame_40x30_xr24.raw -o dangling.png
check 'which stays one' test -L dangling.png
refused 'a full disk' 1 '/dev/full: No space left on device' frame_40x30_xr24.raw -o /dev/full
refused 'a place that is none' 1 'none/none.png: No such file' frame_40x30_xr24.raw -o none/none.png
is 'a full standard output' "$(view frame_40x30_xr24.raw -o - 2>&1 >/dev/full | tail -n 1)" 'dmabuffs: standard output: No space left on device'
check 'none of them has left a file' refuses test -e none.png
truncate -s 5G large.raw
mkfifo endless
head -c 1100M /dev/zero >endless &
refused 'a pipe of more than 1 GiB, of which nothing is known' 1 'more than 1 GiB' endless -o none.png
wait
if ((EUID != 0)); then
    install -m 0 unknown.raw secret
    refused 'a file that may not be read' 1 'secret: Permission denied' secret -o none.png
    mkdir closed
    touch closed/out.png
    chmod 500 closed
    refused 'a directory that may not be written' 1 'closed/out.png: no file can be made beside it' frame_40x30_xr24.raw -o closed/out.png
fi

# An error or a signal leaves what was there.
cp out.png before.png
run bash -c 'ulimit -f 8; exec "$0" view --format R8 --size 2000x1000 /dev/urandom -o before.png' "$DMABUFFS"
is 'more than a file may have is an error' "$((status != 0))" 1
same 'what was there is as it was' out.png before.png
check 'and nothing is left' nothing_left before.png
for signal in INT TERM HUP; do
    # A shell has what it starts in the background ignore SIGINT.
    python3 -c 'import signal, os, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execvp(sys.argv[1], sys.argv[1:])' \
        "$DMABUFFS" view large.raw --format R8 --size 60000x60000 -o before.png &
    viewer=$!
    for _ in {1..200}; do nothing_left before.png || break; sleep 0.05; done
    check "it is being written when SIG$signal comes" refuses nothing_left before.png
    kill -s "$signal" "$viewer"
    wait "$viewer"
    is "which ends it" $? $((128 + $(kill -l "$signal")))
    check 'and leaves nothing' nothing_left before.png
    same 'but what was there' out.png before.png
done
ln -s out.png link.png
check 'a link to a file' view small_4x4_nv12.yuv -o link.png
check 'stays one' test -L link.png
is 'and the file is the picture' "$(png out.png)" '4x4 3'

# On a terminal.
terminal() { env -u KITTY_WINDOW_ID -u KONSOLE_VERSION -u WEZTERM_EXECUTABLE -u GHOSTTY_RESOURCES_DIR -u TERM_PROGRAM "${@:2}" \
    "$lib/on-terminal" "$1" sh -c 'exec "$0" view frame_40x30_xr24.raw 2>/dev/null' "$DMABUFFS"; } # SIZE VARIABLE=VALUE...
terminal 80x24 TERM=xterm-256color >blocks
is 'as many lines as there are pairs of rows' "$(grep -c ▀ blocks)" 15
is 'and a block for each column' "$(grep -o ▀ blocks | wc -l)" $((40 * 15))
is 'the red pixel is the lower half of a block' "$(sed -n 5p blocks | grep -c $'\e\\[48;2;255;0;0m▀')" 1
is 'each line ends with plain colours' "$(grep -c $'\e\\[0m$' blocks)" 15
terminal 20x24 TERM=xterm-256color >blocks
is 'a narrow terminal has a smaller picture' "$(grep -c ▀ blocks) $(grep -o ▀ blocks | wc -l)" "8 $((20 * 8))"
is 'whose pixels are the mean of four' "$(grep -aom1 $'\e\\[38;2;[0-9;]*m' blocks | head -n 1 | tr -d '\033')" '[38;2;0;4;3m'
terminal 80x9 TERM=xterm-256color >blocks
is 'so has a low one' "$(grep -c ▀ blocks) $(grep -o ▀ blocks | wc -l)" "8 $((21 * 8))"
kitty() { # FILE: what was sent of a picture, and whether the pieces are as they have to be
    python3 - "$1" <<'PY'
import base64, re, sys
text = open(sys.argv[1], 'rb').read()
pieces = re.findall(rb'\x1b_G([^;]*);([^\x1b]*)\x1b\\', text)
assert b''.join(b'\x1b_G%s;%s\x1b\\' % piece for piece in pieces) + b'\n' == text, text[:200]
assert pieces[0][0] in (b'a=T,f=100,q=2,m=1', b'a=T,f=100,q=2,m=0'), pieces[0][0]
assert [piece[0][-3:] for piece in pieces] == [b'm=1'] * (len(pieces) - 1) + [b'm=0'] and all(len(p[1]) <= 4096 for p in pieces)
open('sent.png', 'wb').write(base64.b64decode(b''.join(piece[1] for piece in pieces), validate=True))
PY
}
view frame_40x30_xr24.raw -o out.png 2>/dev/null
"$lib/read-png" out.png --raw >out.rows
for variable in TERM=xterm-kitty TERM=xterm-ghostty 'TERM=xterm KITTY_WINDOW_ID=1' 'TERM=xterm TERM_PROGRAM=WezTerm' 'TERM=xterm KONSOLE_VERSION=230400'; do
    # shellcheck disable=SC2086 # several
    terminal 80x24,640x384 $variable >sent
    check "a terminal that takes pictures ($variable)" kitty sent
    "$lib/read-png" sent.png --raw >sent.rows
    same 'has the very one' out.rows sent.rows
done
terminal 10x24,20x384 TERM=xterm-kitty >sent
check 'a small one' kitty sent
is 'a smaller one' "$(png sent.png)" '20x15 3'
terminal 80x24 TERM=tmux-256color KITTY_WINDOW_ID=1 >blocks
is 'not inside of tmux' "$(grep -c ▀ blocks)" 15
run "$lib/on-terminal" 80x24 "$DMABUFFS" view frame_40x30_xr24.raw -o -
says 'no PNG on a terminal' 2 'a PNG is not for the terminal: -o OUT.png'
run env TERM=dumb "$lib/on-terminal" 80x24 "$DMABUFFS" view frame_40x30_xr24.raw
says 'one without colours' 1 'this terminal shows no colours; write a PNG: -o OUT.png'
