#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What people type, whole, on real dma-bufs: weights for two programs, a capture to disk, a golden frame, a look into another's
# buffer, a picture for a display, frames for an encoder, broken commands for a driver, a hunt for leaks, a frame for another desk.
# vm: --memory 2048 --scratch 1G
# timeout: 600
source "$(dirname "$0")/common.bash"
make_disk
load_module
mount_it -o xattr --files d="$disk"
cd "$disk" || exit
b=$mnt/heaps
export ARTIFACTS=$T/artifacts
mkdir "$ARTIFACTS"
# Programs that take a dma-buf as a descriptor: what a driver's user would be.
cat >"$T/program" <<'XEOF'
import hashlib, mmap, os, sys
def memory(fd):
    return mmap.mmap(fd, os.lseek(fd, 0, os.SEEK_END))
word, *rest = sys.argv[1:]
if word == 'sum':
    print(hashlib.sha256(memory(3)[:int(rest[0])]).hexdigest(), os.fstat(3).st_ino)
elif word == 'fill':
    with memory(3) as to:
        for at in range(0, len(to), 4096):
            to[at:at + 4096] = (at // 4096).to_bytes(8, 'little') * 512
elif word == 'isp':
    source, to = memory(3), memory(4)
    to[:] = source[:len(to)]
    if rest:
        to[int(rest[0])] ^= 0x40
elif word == 'hold':
    fd = os.dup(3)
    print(os.getpid(), fd, flush=True)
    sys.stdin.read()
XEOF

# Weights, loaded once, for two programs.
head -c 20000000 /dev/urandom >model.rknn
sync
drop_caches
check 'weights: direct' "$DMABUFFS" cp --no-progress --require-direct model.rknn "$b/system/model"
equals 'weights: two programs have the same dma-buf, with the bytes' \
    "$("$DMABUFFS" exec "$b/system/model" -- python3 "$T/program" sum 20000000; "$DMABUFFS" exec "$b/system/model" -- python3 "$T/program" sum 20000000)" \
    "$(for _ in 1 2; do echo "$(sha256sum <model.rknn | cut -d' ' -f1) $(about "$b/system/model" inode)"; done)"

# A device's capture to the disk.
truncate -s 32M "$b/system/capture"
check 'capture: by its descriptor' "$DMABUFFS" exec "$b/system/capture" -- python3 "$T/program" fill
check 'capture: to the disk' dd if="$b/system/capture" of=run42.bin bs=4M oflag=direct status=none
equals 'capture: page 5000 is right' "$(od -An -tu8 -N8 -j $((5000 * 4096)) run42.bin | tr -d ' ')" 5000

# A golden frame in CI.
head -c $((320 * 240 * 3 / 2)) /dev/urandom >golden_320x240_nv12.yuv
cp "$mnt/files/d/golden_320x240_nv12.yuv" "$b/udmabuf/in"
check 'golden: a buffer for the result' "$DMABUFFS" create --format NV12 --size 320x240 --stride 320 --offset 0,76800 "$b/udmabuf/out"
check 'golden: the device' "$DMABUFFS" exec in="$b/udmabuf/in" out="$b/udmabuf/out" -- python3 "$T/program" isp
check 'golden: is right' cmp "$b/udmabuf/out" golden_320x240_nv12.yuv
check 'golden: a faulty device' "$DMABUFFS" exec in="$b/udmabuf/in" out="$b/udmabuf/out" -- python3 "$T/program" isp $((320 * 100 + 7))
run cmp "$b/udmabuf/out" golden_320x240_nv12.yuv
says 'golden: is found' 1 'byte 32008'
run "$DMABUFFS" diff "$b/udmabuf/out" golden_320x240_nv12.yuv
says 'golden: diff says where' 1 'x 7'
says 'golden: in which row' 1 'y 100'
check 'golden: the picture goes to the artifacts' cp "$mnt/views/udmabuf/out.png" "$ARTIFACTS/"
equals 'golden: and is one' "$(head -c 4 "$ARTIFACTS/out.png" | tail -c 3)" PNG

# What is in the buffer of another program?
head -c $((64 * 48 * 4)) /dev/urandom >screen.raw
cp "$mnt/files/d/screen.raw" "$b/system/screen"
coproc compositor { exec "$DMABUFFS" exec "$b/system/screen" -- python3 "$T/program" hold; }
# shellcheck disable=SC2154 # coproc sets it
{ theirs=$compositor_PID hear=${compositor[0]} tell=${compositor[1]}; }
read -r -t 120 pid fd <&"$hear"
check 'another: import' "$DMABUFFS" import --pid "$pid" --fd "$fd" --format XR24 --size 64x48 "$b/import/scanout"
check 'another: its picture' cp "$mnt/views/import/scanout.png" "$T/now.png"
check 'another: is right' quiet "$DMABUFFS" diff --format XR24 --size 64x48 "$b/import/scanout" screen.raw
equals 'another: what is known of it' "$(jq -r .format.text "$mnt/views/import/scanout.json")" XR24:64x48:stride=256:offset=0
run "$DMABUFFS" ps --json --pid "$pid"
equals 'leaks: who holds it' "$(jq -c --argjson pid "$pid" '[.[] | [.path | sub(".*/heaps/"; "")] + [any(.holders[]; .pid == $pid), .size]]' <<<"$out" |
    sed 's,import/scanout,system/screen,')" '[["system/screen",true,12288]]' # one dma-buf, two files: either is right
eval "exec $tell>&-"
wait "$theirs"
rm "$b/import/scanout"
equals 'leaks: the large ones' "$(find "$b" -type f -size +16M -printf '%s %f\n' | sort -n)" $'20000000 model\n33554432 capture'

# A raw picture into a buffer that knows what it is.
check 'display: create' "$DMABUFFS" create --format XR24 --size 64x48 "$b/system/fb0"
check 'display: dd' dd if=screen.raw of="$b/system/fb0" conv=notrunc bs=1M status=none
check 'display: shows it' quiet "$DMABUFFS" diff "$b/system/fb0" screen.raw

# The same input again and again, without a copy.
head -c $((176 * 144 * 3 / 2)) /dev/urandom >clip_176x144_nv12
cp "$mnt/files/d/clip_176x144_nv12" "$b/system/f0"
inode=$(about "$b/system/f0" inode)
equals 'encoder: ten times the same dma-buf' \
    "$(for _ in {1..10}; do "$DMABUFFS" exec "$b/system/f0" -- python3 "$T/program" sum 38016; done | sort -u)" \
    "$(sha256sum <clip_176x144_nv12 | cut -d' ' -f1) $inode"

# Broken commands for a driver.
dd if=/dev/urandom of="$b/system/cmdbuf" bs=4k count=16 conv=notrunc status=none
printf '\xde\xad\xbe\xef' | dd of="$b/system/cmdbuf" bs=1 seek=4096 conv=notrunc status=none
equals 'fuzzing: hex shows it' "$("$DMABUFFS" hex "$b/system/cmdbuf" 4096 64 | head -n 1 | cut -c1-19)" '00001000: dead beef'
equals 'fuzzing: 64 bytes' "$("$DMABUFFS" hex "$b/system/cmdbuf" 4096 64 | wc -l)" 4

# A failing frame at another desk.
(cd "$b/udmabuf" && sha256sum in out) >frame.sha256
check 'desk: taken along' sh -c 'tar -C "$1" --xattrs -cf - in out | gzip -1 >frame1337.tar.gz' sh "$b/udmabuf"
rm "$b/udmabuf/in" "$b/udmabuf/out"
check 'desk: and back' sh -c 'gzip -dc frame1337.tar.gz | tar -C "$1" --xattrs -xf -' sh "$b/udmabuf"
check 'desk: the same bytes' sh -c 'cd "$1" && sha256sum --quiet -c "$2"' sh "$b/udmabuf" "$disk/frame.sha256"
equals 'desk: and still a picture' "$("$DMABUFFS" format "$b/udmabuf/out" | sed 's,.*/out: ,,')" NV12:320x240:stride=320,320:offset=0,76800
"$DMABUFFS" doctor >/dev/null
check 'doctor says whether the machine will do' [ $? -le 1 ]

cd /
check 'unmount' unmount_it
exit $failed
