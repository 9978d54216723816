#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# views/: the picture, the bytes and what is known of each buffer, as files that are made while they are read.
# timeout: 300
source "$(dirname "$0")/lib.sh"
lib=$(realpath "$(dirname "$0")/../lib")
mount_it -o size=4G,allow_other
cd "$T" || exit
views=$mnt/views/${heap##*/}
random 460800 >golden_640x480_nv12.yuv
"$DMABUFFS" cp golden_640x480_nv12.yuv "$heap/frame"
is 'a buffer has three' "$(ls "$views")" "$(printf '%s\n' frame.hex frame.json frame.png)"
is 'one that is no picture two' "$(echo text >"$heap/text" && find "$views" -type f -printf '%f\n' | sort | xargs)" 'frame.hex frame.json frame.png text.hex text.json'
is 'heaps/ has buffers only' "$(find "$mnt/heaps" -type f | sort | xargs)" "$heap/frame $heap/text"
is 'so has tar of it' "$(tar -C "$mnt" -cf - "heaps/${heap##*/}" | tar -tf - | grep -c '[a-z]$')" 2
same_picture() { # NAME A B
    local a b
    a=$("$lib/read-png" "$2" --raw | sha256sum) b=$("$lib/read-png" "$3" --raw | sha256sum)
    is "$1" "$a" "$b"
}
for suffix in png json hex; do
    size=$(stat -c %s "$views/frame.$suffix")
    is "the size of a $suffix is told before it is read" "$size" "$(wc -c < <(cat "$views/frame.$suffix"))"
    check "so what asks for it first has all of the $suffix" python3 -c 'import shutil, sys; shutil.copyfile(*sys.argv[1:])' "$views/frame.$suffix" "copied.$suffix"
    is "which are as many bytes of $suffix" "$(size_of "copied.$suffix")" "$size"
done
check 'cp of its picture' cp "$views/frame.png" frame.png
"$DMABUFFS" view "$heap/frame" -o wanted.png
same_picture 'is that of view' frame.png wanted.png
same 'whoever copies it' frame.png copied.png
"$DMABUFFS" hex "$heap/frame" >wanted.hex
same 'its bytes are those of hex' wanted.hex "$views/frame.hex"
is 'what is known is that of info' "$(jq -cS 'del(.path)' "$views/frame.json")" "$("$DMABUFFS" info --json "$heap/frame" | jq -cS '.[0] | del(.path)')"
for to in "$heap/kept" "$mnt/files/data/kept" kept; do
    check "cp once more, of a known size, to ${to%/kept}" cp "$views/frame.png" "$to"
    same 'has the bytes' frame.png "$to"
done
rm "$heap/kept"
is 'it can be read only' "$(stat -c '%a' "$views/frame.png")" 444
random 460800 >other
dd if=other of="$heap/frame" conv=notrunc status=none
"$DMABUFFS" view "$heap/frame" -o wanted.png
cp "$views/frame.png" other.png
same_picture 'each open shows what there is then' other.png wanted.png
check 'which is another picture' refuses cmp -s frame.png other.png
tar -S -C "$views" -cf - frame.png | tar -xf - -C "$outside"
same 'tar that looks for holes has it, too' other.png "$outside/frame.png"
# Backwards, and in parts, as an image viewer reads.
cat >backwards <<'XEOF'
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
whole = open(sys.argv[2], 'rb').read()
for at in (5000, 0, 300000, 8, len(whole) - 10, 1000000000, 0):
    got = os.pread(fd, 4000, at)
    if got != whole[at:at + 4000][:len(got)] or (not got) != (at >= len(whole)):
        sys.exit(f'# at {at}: {len(got)} bytes')
XEOF
check 'read in any order' python3 backwards "$views/frame.png" other.png
check 'also bytes' python3 backwards "$views/frame.hex" <("$DMABUFFS" hex "$heap/frame")
is 'a line far down is there at once' "$(truncate -s 3G "$heap/sparse" && within 2 tail -c 68 "$views/sparse.hex")" \
    "$(printf 'bffffff0: %s ................' "$(printf '0000 %.0s' {1..8})")"
rm "$heap/sparse"
check 'at once by many' sh -c 'for i in 1 2 3 4 5 6 7 8; do cmp "$1" "$2" & done; wait' sh "$views/frame.png" other.png

for word in 'touch' 'truncate -s 0' 'rm' 'chmod 666'; do
    check "$word changes nothing there" eval "refuses $word \"$views/frame.png\""
done
check 'nothing is made there' refuses touch "$views/new.png"
check 'no directory either' refuses mkdir "$views/new"
check 'nothing is there that has no buffer' [ ! -e "$views/none.png" ]
mkdir -p "$heap/dir/deep"
cp other "$heap/dir/deep/a_640x480_nv12"
check 'directories are those of the heap' cmp "$views/dir/deep/a_640x480_nv12.png" other.png
is 'one can be there' "$(cd "$views/dir/deep" && ls >/dev/null && pwd && sleep 1.5 && /bin/pwd)" "$views/dir/deep"$'\n'"$views/dir/deep"
run cat "$views/text.png"
says 'no picture is known' 1 'No data available'
is 'status says why' "$(jq -r '.refused[-1].message' "$mnt/status")" "heaps/${heap##*/}/text: no view of it: nobody said what picture it is; dmabuffs format does"
"$DMABUFFS" format --format XR24 --size 32x32 --modifier I915_X_TILED "$heap/frame"
run cat "$views/frame.png"
says 'a tiled one' 1 'not supported'
is 'is not in the listing' "$(find "$views" -name frame.png)" ''
is 'is named' "$(jq -r '.refused[-1].message' "$mnt/status" | grep -c 'I915_X_TILED (INTEL)')" 1
"$DMABUFFS" format --clear "$heap/frame"

# Who may read the buffer may read its views.
if ((EUID == 0)); then
    chmod 755 "$T"
    as() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
    chmod 600 "$heap/frame"
    is 'modes are those of the buffer' "$(stat -c %a "$views/frame.hex")" 400
    run as cat "$views/frame.hex"
    says 'who may not read it sees nothing' 1 'ermission denied'
    chmod 604 "$heap/frame"
    check 'who may does' sh -c '"$@" >/dev/null' sh setpriv --reuid 65534 --regid 65534 --clear-groups cat "$views/frame.hex"
    check 'a hundred of them at once' as bash -c 'for i in {1..100}; do cat "$1" >/dev/null || exit 1 & jobs+=($!); done; for job in "${jobs[@]}"; do wait "$job" || exit 1; done' bash "$views/frame.hex"
    chmod 700 "$heap/dir"
    run as cat "$views/dir/deep/a_640x480_nv12.png"
    says 'nor through a closed directory' 1 'ermission denied'
fi

# A buffer that is removed is gone, whoever has looked at its views.
used=$(jq .memory.used "$mnt/status")
truncate -s 64M "$heap/large"
head -c 67108864 /dev/zero | tr '\0' x >"$heap/large"
ls -l "$views" >/dev/null
head -c 100 "$views/large.hex" >/dev/null
rm "$heap/large"
for ((i = 0; i < 50; i++)); do [[ $(jq '.memory.used - .memory.recycled' "$mnt/status") -le $used ]] && break; sleep 0.1; done
check 'its memory is back' [ "$(jq '.memory.used - .memory.recycled' "$mnt/status")" -le "$used" ]
check 'and its views are gone' [ ! -e "$views/large.hex" ]

# A directory of large pictures costs nothing to list, and one picture a band of rows.
mkdir "$heap/many"
for ((i = 0; i < 100; i++)); do "$DMABUFFS" create --format XR24 --size 3840x2160 --stride 15360 "$heap/many/$i" || break; done 2>err
(($(find "$heap/many" -type f | wc -l) == 100)) || echo "# $(head -n 1 err)"
before=$(awk '{ print $14 + $15 }' /proc/"$(daemon)"/stat)
ls -l "$views/many" >listed
after=$(awk '{ print $14 + $15 }' /proc/"$(daemon)"/stat)
is 'a listing has all of them' "$(grep -c '\.png$' listed)" "$(find "$heap/many" -type f | wc -l)"
most=50 # hundredths of a second of the processor; to render them takes some four hundred
if [[ ${DMABUFFS_SANITIZER-} ]]; then most=200; fi
check 'and renders nothing' [ $((after - before)) -le $most ]
rm -r "$heap/many"
"$DMABUFFS" create --format XR24 --size 7680x4320 "$heap/8k"
resident() { awk '/^RssAnon/ { print $2 }' "/proc/$(daemon)/status"; }
before=$(resident) most=0
cat "$views/8k.png" >8k.png &
while kill -0 $! 2>/dev/null; do now=$(resident); if ((now > most)); then most=$now; fi; done
most_allowed=8192
if [[ ${DMABUFFS_SANITIZER-} ]]; then most_allowed=400000; fi # which keeps what was freed
check 'an 8K picture takes less than 8 MiB of the daemon' [ $((most - before)) -lt $most_allowed ]
# Who waits for bytes that take long to make can be ended at once.
check 'a vast buffer' "$DMABUFFS" create --format XR24 --size 30000x30000 "$heap/vast"
python3 -c 'import os, sys; print(flush=True); os.pread(os.open(sys.argv[1], os.O_RDONLY), 4096, 1 << 40)' "$views/vast.png" >begun &
reader=$!
until [[ -s begun ]]; do sleep 0.1; done
sleep 0.3
kill -KILL $reader
check 'who reads far in a picture can be ended' within 1 tail --pid=$reader -s 0.1 -f /dev/null
rm "$heap/vast"
# Zeros, whatever each row is filtered by.
cat >zeros <<'XEOF'
import struct, sys, zlib
png, at, body = open(sys.argv[1], 'rb').read(), 8, zlib.decompressobj()
size = zero = 0
while at < len(png):
    length, kind = struct.unpack('>I4s', png[at:at + 8])
    if kind == b'IDAT':
        rows = body.decompress(png[at + 8:at + 8 + length])
        size, zero = size + len(rows), zero + rows.count(0)
    at += length + 12
print(kind.decode(), size, size - zero <= 4320)
XEOF
is 'and is whole' "$(python3 zeros 8k.png)" "IEND $((4320 * (1 + 7680 * 3))) True"
