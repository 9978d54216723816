#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What picture is in a buffer: said by create, format, cp, an attribute, or by a file's name; and what becomes of it.
# timeout: 300
source "$(dirname "$0")/lib.sh"
mount_it -o size=256M,xattr
cd "$T" || exit
known() { "$DMABUFFS" format "$1" | sed "s,^$1: ,,"; }
nv12='NV12:640x480:stride=640,640:offset=0,307200'
random 460800 >data/golden_640x480_nv12.yuv

check 'create makes a picture' "$DMABUFFS" create --format NV12 --size 1918x1080 "$heap/frame"
is 'with strides that GPUs import, planes on pages' "$(known "$heap/frame")" 'NV12:1918x1080:stride=2048,2048:offset=0,2211840'
is 'and so many bytes' "$(size_of "$heap/frame")" 3317760
check 'create with strides' "$DMABUFFS" create --format XR24 --size 10x10 --stride 100 "$heap/own"
is 'takes those' "$(known "$heap/own") $(size_of "$heap/own")" 'XR24:10x10:stride=100:offset=0 1000'
check 'create of bytes' "$DMABUFFS" create --size 64K "$heap/plain" "$heap/other"
is 'has so many' "$(size_of "$heap/plain" "$heap/other" | xargs)" '65536 65536'
is 'and no picture' "$(known "$heap/plain")" 'not known'
run "$DMABUFFS" create --size 64K "$heap/plain"
says 'not where something is' 1 'File exists'
run "$DMABUFFS" create --help
says 'the help says that a size may be bytes' 0 '--size WxH|BYTES'
run "$DMABUFFS" format XR24 640x480 "$heap/plain"
says 'a format in the place of a file: how it is meant' 2 'XR24: write --format XR24 --size WxH, then FILE'
run "$DMABUFFS" create --size 0 "$heap/new"
says 'not of no bytes' 2 '--size 0: a buffer has one byte or more'
run "$DMABUFFS" create --size 1T "$heap/new"
says 'of more than the mount may hold: the remedy' 1 'remove buffers or mount with a larger -o size='
check 'and nothing is left of it' [ ! -e "$heap/new" ]
for words in '--size 64K' '--format R8 --size 64x64'; do
    read -ra words <<<"$words"
    run "$DMABUFFS" create "${words[@]}" "$mnt/heaps/import/new"
    says "in heaps/import only import makes files (${words[0]})" 1 'in heaps/import only `dmabuffs import` makes files'
    run "$DMABUFFS" create "${words[@]}" "$mnt/"
    says "a directory (${words[0]})" 1 'a directory; name a file in it'
done
run "$DMABUFFS" create --size 64x64 "$heap/new"
says 'pixels without a format' 2 '--size 64x64: which --format?'
run "$DMABUFFS" create --size 64X "$heap/new"
says 'a size that is none' 2 "'64X' is no size"
run "$DMABUFFS" create --size 64K "$heap/none/new"
says 'a directory that is none' 1 "no directory $heap/none/; make it with mkdir"
run "$DMABUFFS" create --format NV1x --size 64x64 "$heap/new"
says 'a format that is none' 2 'the nearest is NV12'
run "$DMABUFFS" cp --format NV1x --size 64x64 data/golden_640x480_nv12.yuv "$heap/new"
says 'for cp, too' 2 'the nearest is NV12'
run "$DMABUFFS" import --fd 0 --format NV1x --size 64x64 "$mnt/heaps/import/new"
says 'and import' 2 'the nearest is NV12'
run "$DMABUFFS" create --format NV12 --size 64x64 --modifier AFBC "$heap/new"
says 'a layout that is no number' 2 "a vendor's compressed layout, which can't be shown"
check "numbers as hex takes them, names as V4L2 writes them" "$DMABUFFS" create --format V4L2_PIX_FMT_NV12 --size 64X64 --stride 0x80 --offset 0,16K "$heap/numbers"
is 'are those' "$(known "$heap/numbers")" 'NV12:64x64:stride=128,128:offset=0,16384'
run "$DMABUFFS" create --format XR24 --size 64x64 --stride 200 "$heap/new"
says 'a stride that is too small' 2 'stride of 200 bytes is less than the 256'
run "$DMABUFFS" create --format XR24 --size 60000x60000 "$heap/new"
says 'more than the mount may hold' 1 "$heap/new: "
check 'nothing is left of it' [ ! -e "$heap/new" ]
run "$DMABUFFS" create --format XR24 --size 64x64 "$T/new"
says 'outside of a mount' 1 'not in a dmabuffs mount'
check 'nothing is left there' [ ! -e "$T/new" ]

cp "$mnt/files/data/golden_640x480_nv12.yuv" "$heap/in"
is 'cp in the mount: the name of the source says it' "$(known "$heap/in")" "$nv12 (by name)"
run "$DMABUFFS" view "$heap/in" -o "$T/in.png"
says 'as view says' 0 'taken for NV12 640x480 by the name of the file that was copied there'
"$DMABUFFS" cp data/golden_640x480_nv12.yuv "$heap/cp"
is 'dmabuffs cp, too' "$(known "$heap/cp")" "$nv12 (by name)"
is 'info tells' "$("$DMABUFFS" info --json "$heap/in" | jq -c '.[0].format')" \
    '{"fourcc":"NV12","from":"name","height":480,"modifier":"LINEAR","planes":[{"offset":0,"stride":640},{"offset":307200,"stride":640}],"text":"'$nv12'","width":640}'
cat data/golden_640x480_nv12.yuv >"$heap/written_640x480_nv12"
is 'or its own name' "$(known "$heap/written_640x480_nv12")" "$nv12 (by name)"
mv "$heap/written_640x480_nv12" "$heap/written"
is 'which it had' "$(known "$heap/written")" 'not known'
random 1000 >data/noise
cp "$mnt/files/data/noise" "$heap/in"
is 'another file over it: what was guessed is gone' "$(known "$heap/in")" 'not known'

check 'dmabuffs cp with a format' "$DMABUFFS" cp --format XR24 --size 320x240 data/golden_640x480_nv12.yuv "$heap/said"
is 'which goes before the name' "$(known "$heap/said")" 'XR24:320x240:stride=1280:offset=0'
cp "$mnt/files/data/golden_640x480_nv12.yuv" "$heap/said"
is 'and stays' "$(known "$heap/said")" 'XR24:320x240:stride=1280:offset=0'
run "$DMABUFFS" cp --format XR24 --size 4000x4000 data/golden_640x480_nv12.yuv "$heap/in"
says 'one that is not in the file' 1 'plane 0 of 4000x4000 ends at byte 64000000, and there are 460800'
is 'and nothing is copied' "$(size_of "$heap/in")" 1000
run "$DMABUFFS" cp --format XR24 --size 10x10 data/golden_640x480_nv12.yuv "$T/copy"
says 'what is no buffer remembers nothing' 1 'only a buffer remembers its format'
cp "$heap/said" "$heap/copy"
is 'cp from buffer to buffer takes it along' "$(known "$heap/copy")" 'XR24:320x240:stride=1280:offset=0'
mv "$heap/copy" "$heap/renamed"
is 'rename keeps it' "$(known "$heap/renamed")" 'XR24:320x240:stride=1280:offset=0'
check 'it can be said anew' "$DMABUFFS" format --format YUYV --size 640x360 "$heap/renamed"
is 'by format' "$(known "$heap/renamed")" 'YUYV:640x360:stride=1280:offset=0'
run "$DMABUFFS" format --format YUYV --size 640x361 "$heap/renamed"
says 'but not what does not fit' 1 'plane 0 of 640x361 ends at byte 462080, and there are 460800'
check 'and be forgotten' "$DMABUFFS" format --clear "$heap/renamed"
is 'quite' "$(known "$heap/renamed")" 'not known'
check 'twice' "$DMABUFFS" format --clear "$heap/renamed"
run "$DMABUFFS" format --format XR24 --size 2x2 "$T/data/noise"
says 'of a file that is none of a mount' 1 'data/noise'
run "$DMABUFFS" format --format I915 --size 2x2 "$heap/renamed"
says 'a format that nobody knows' 2 "format 'I915': not known"
check 'a tiled one is known' "$DMABUFFS" format --format XR24 --size 32x32 --modifier I915_X_TILED "$heap/renamed"
run "$DMABUFFS" view "$heap/renamed" -o tiled.png
says 'and not shown' 1 'I915_X_TILED (INTEL)'

is 'the attribute says it' "$(getfattr --only-values -n user.dmabuffs.format "$heap/said")" 'XR24:320x240:stride=1280:offset=0'
check 'and is set as any' setfattr -n user.dmabuffs.format -v 'R8:100x10' "$heap/in"
is 'in full' "$(known "$heap/in")" 'R8:100x10:stride=100:offset=0'
check 'not to nonsense' refuses setfattr -n user.dmabuffs.format -v 'R8:0x10' "$heap/in"
tar -C "$heap" --xattrs -cf frames.tar said in
mkdir "$heap/back"
tar -C "$heap/back" --xattrs -xf frames.tar
is 'tar --xattrs keeps it' "$(known "$heap/back/said") $(known "$heap/back/in")" 'XR24:320x240:stride=1280:offset=0 R8:100x10:stride=100:offset=0'
mkdir "$heap/synced"
rsync -X "$heap/said" "$heap/synced/"
is 'rsync -X, too' "$(known "$heap/synced/said")" 'XR24:320x240:stride=1280:offset=0'
run "$DMABUFFS" view "$heap/said" -o said.png
says 'view knows it' 0 ''
check 'and diff' "$DMABUFFS" diff "$heap/said" "$heap/back/said"
truncate -s 100 "$heap/said"
run "$DMABUFFS" view "$heap/said" -o said.png
says 'a buffer that has become too small for it' 1 'plane 0 of 320x240 ends at byte 307200, and there are 100'

if ((EUID == 0)); then
    "$DMABUFFS" umount "$mnt"
    mount_it -o allow_other
    chmod 755 "$T"
    random 1000 >"$heap/read"
    chmod 644 "$heap/read"
    run setpriv --reuid 65534 --regid 65534 --clear-groups env -u XDG_RUNTIME_DIR "$DMABUFFS" format --format R8 --size 10x10 "$heap/read"
    says 'who may not write it says nothing of it' 1 'ermission denied'
    check 'without -o xattr it is said all the same' "$DMABUFFS" format --format R8 --size 10x10 "$heap/read"
    is 'and known' "$(known "$heap/read")" 'R8:10x10:stride=10:offset=0'
    is 'to who may read' "$(setpriv --reuid 65534 --regid 65534 --clear-groups env -u XDG_RUNTIME_DIR "$DMABUFFS" format "$heap/read")" "$heap/read: R8:10x10:stride=10:offset=0"
fi
