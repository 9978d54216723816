#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The heaps of displays, drm-cardN: dumb buffers as files, and what a program shows of them is what was copied there.
# QEMU's screendump is the judge.
# vm: --memory 2048 --scratch 512M --device virtio-gpu-pci,id=virtio --device bochs-display,id=bochs --monitor
# timeout: 300
source "$(dirname "$0")/common.bash"
source "$(dirname "$0")/../mount/survive.bash"
modprobe -q -a bochs virtio-gpu
make_disk
load_module
in_status() { jq -c "$1" "$mnt/status"; }
as() { setpriv --reuid 65534 --regid 65534 --clear-groups env -u XDG_RUNTIME_DIR "$@"; }
width=1024 height=768
stride=4096
size=$((stride * height))

# XR24: blue, green, red, and a byte that nobody shows.
cat >"$T/picture" <<'XEOF'
import random, sys
width, height, seed = map(int, sys.argv[1:4])
random.seed(seed)
noise = random.randbytes(width * 64 * 4)
rows = [bytes((noise[(y % 64) * width * 4 + i] + y) & 255 for i in range(width * 4)) for y in range(height)]
sys.stdout.buffer.write(b''.join(rows))
XEOF
# Whether a screendump (PPM) shows a picture of that width and stride.
cat >"$T/same" <<'XEOF'
import sys
dump, raw = open(sys.argv[1], 'rb').read(), open(sys.argv[2], 'rb').read()
width, height, stride = map(int, sys.argv[3:6])
head = b'P6\n%d %d\n255\n' % (width, height)
wanted = bytearray(3 * width * height)
for y in range(height):
    row = raw[y * stride:y * stride + width * 4]
    for c in range(3):
        wanted[y * width * 3 + c:(y + 1) * width * 3:3] = row[2 - c::4]
if not dump.startswith(head):
    sys.exit('# the dump begins with %r' % dump[:20])
if dump[len(head):] != wanted:
    row = next(y for y in range(height) if dump[len(head):][y * width * 3:][:width * 3] != wanted[y * width * 3:][:width * 3])
    sys.exit('# another picture, from row %d on' % row)
XEOF
exec {monitor}<>/dev/vport0p4
ask() { # JSON: QEMU; waits for its answer
    echo "$1" >&"$monitor"
    while read -r -t 60 answer <&"$monitor"; do
        case $answer in
        *'"return"'*) return 0 ;;
        *'"error"'*) echo "# $answer"; return 1 ;;
        esac
    done
    return 1
}
check 'QEMU listens' ask '{"execute": "qmp_capabilities"}'
dumps=0
dump() { # DEVICE: sets $screen
    dumps=$((dumps + 1))
    screen=$DMABUFFS_BUILD/screen-$$-$dumps.ppm # which QEMU and the guest both see
    ask "{\"execute\": \"screendump\", \"arguments\": {\"device\": \"$1\", \"filename\": \"$screen\"}}"
}
shows() { # DEVICE PICTURE [TIMES]: a screen may be a moment late
    local seen i
    for ((i = 0; i < ${3-10}; i++)); do
        dump "$1" || return 1
        seen=0
        python3 "$T/same" "$screen" "$2" "$width" "$height" "$stride" >"$T/why" 2>&1 || seen=1
        rm "$screen"
        ((seen == 0)) && return
        sleep 0.5
    done
    cat "$T/why"
    return 1
}

python3 "$T/picture" $width $height 1 >"$T/first"
python3 "$T/picture" $width $height 2 >"$T/second"
cp "$T/first" "$disk/first"
head -c 10000 /dev/urandom >"$T/small"
before=$(dmabufs)
mount_it -o allow_other --files d="$disk"
mkdir "$T/theirs"
chown 65534:65534 "$T/theirs"
chmod 755 "$T"
displays=0
for node in /dev/dri/card*; do
    card=${node##*/}
    driver=$(basename "$(readlink "/sys/class/drm/$card/device/driver")")
    case $driver in
    bochs*) device=bochs exporter=drm path=bounce-direct ;;
    virtio*) device=virtio exporter=virtio_gpu path=kernel-direct ;;
    *) continue ;;
    esac
    displays=$((displays + 1))
    heap=$mnt/heaps/drm-$card
    file=$heap/fb
    chown root:video "$node"
    chmod 660 "$node"
    equals "$device: the heap has the rights of its node" "$(stat -c '%U %G %a' "$heap")" 'root video 1770'
    used=$(in_status .memory.used)
    check "$device: cp in" cp "$T/first" "$file"
    check "$device: the same bytes" cmp "$T/first" "$file"
    check "$device: cp out" cp "$file" "$T/out"
    check "$device: and they are the same" cmp "$T/first" "$T/out"
    equals "$device: a dma-buf of its driver" "$(about "$file" exporter)" "$exporter"
    equals "$device: its heap's kind" "$(in_status ".heaps[] | select(.name == \"drm-$card\").kind")" '"drm"'
    equals "$device: charged" "$(in_status .memory.used)" $((used + size))
    printf hello | dd of="$file" bs=1 seek=100 conv=notrunc status=none
    equals "$device: dd writes there" "$(dd if="$file" bs=1 skip=100 count=5 status=none)" hello
    cat "$T/first" "$T/second" >"$T/long"
    check "$device: a larger cp over it" cp "$T/long" "$file"
    check "$device: has its bytes" cmp "$T/long" "$file"
    check "$device: truncate to less" truncate -s 5000 "$file"
    check "$device: and to more" truncate -s 20000 "$file"
    check "$device: zeros between" cmp "$file" <(head -c 5000 "$T/first"; head -c 15000 /dev/zero)
    equals "$device: it holds what it needs" "$(about "$file" capacity)" 20480
    run truncate -s 5G "$file"
    says "$device: 5 GiB are no dumb buffer" 1 'File too large'
    check "$device: nothing is lost by that" [ "$(stat -c %s "$file")" == 20000 ]
    check "$device: new memory" truncate -s 3M "$heap/new"
    check "$device: reads zero" cmp -n $((3 << 20)) "$heap/new" /dev/zero
    rm "$file" "$heap/new"
    drop_caches
    equals "$device: dmabuffs cp goes by $path" \
        "$("$DMABUFFS" cp --json "$disk/first" "$file" | jq -c .paths)" "{\"$path\":$size}"
    check "$device: and is right" cmp "$T/first" "$file"
    equals "$device: out, too" "$("$DMABUFFS" cp --json "$file" "$disk/out" | jq -c .paths)" "{\"$path\":$size}"
    check "$device: and is right there" cmp "$T/first" "$disk/out"
    rm "$file"
    check "$device: many small ones" bash -c "for i in {1..20}; do cp $T/small $heap/\$i || exit 1; done"
    check "$device: each with its bytes" bash -c "for i in {1..20}; do cmp $T/small $heap/\$i || exit 1; done"
    rm "$heap"/*
    for _ in {1..50}; do [[ $(in_status .memory.used) == "$used" ]] && break; sleep 0.1; done
    equals "$device: rm gives back all of it" "$(in_status .memory.used)" "$used"

    # What is copied there is what the screen shows.
    check "$device: a picture, by plain cp" cp "$T/first" "$file"
    inode=$(about "$file" inode)
    coproc show { exec "$DMABUFFS" exec "$file" -- "$tools/kms-show" "$node" $width $height $stride XR24; }
    # shellcheck disable=SC2154 # coproc sets it
    { pid=$show_PID hear=${show[0]} tell=${show[1]}; }
    read -r -t 120 answer <&"$hear"
    equals "$device: a program that starts while the mount is up is the display's master, and shows it" "$answer" shown
    check "$device: the screen has the picture" shows "$device" "$T/first"
    check "$device: and not another" eval '! quiet shows "$device" "$T/second" 1'
    equals "$device: it is held" "$(about "$file" held_elsewhere)" true
    run cp "$T/long" "$file"
    says "$device: so a larger cp is EBUSY" 1 'Device or resource busy'
    check "$device: another picture over it" cp "$T/second" "$file"
    equals "$device: in the same dma-buf" "$(about "$file" inode)" "$inode"
    echo again >&"$tell"
    read -r -t 120 answer <&"$hear"
    check "$device: is on the screen" shows "$device" "$T/second"
    rm "$file"
    check "$device: which has it also without a name" shows "$device" "$T/second"
    eval "exec $tell>&-"
    wait "$pid"
    for _ in {1..50}; do [[ $(in_status .memory.used) == "$used" ]] && break; sleep 0.1; done
    equals "$device: nobody holds it any more" "$(in_status .memory.used)" "$used"

    # A file that knows its picture has the lines that the display wants.
    width=640 height=480
    python3 "$T/picture" $width $height 3 >"$T/third"
    check "$device: create" "$DMABUFFS" create --format XR24 --size ${width}x$height "$file"
    stride=$(about "$file" format | jq '.planes[0].stride')
    equals "$device: with its stride" "$stride" 2560
    check "$device: and so many bytes" [ "$(stat -c %s "$file")" == $((stride * height)) ]
    inode=$(about "$file" inode)
    check "$device: dd into it" dd if="$T/third" of="$file" conv=notrunc bs=1M status=none
    equals "$device: is its dma-buf" "$(about "$file" inode)" "$inode"
    coproc show { exec "$DMABUFFS" exec "$file" -- "$tools/kms-show" "$node" $width $height "$stride" XR24; }
    { pid=$show_PID hear=${show[0]} tell=${show[1]}; }
    read -r -t 120 answer <&"$hear"
    equals "$device: it is shown" "$answer" shown
    check "$device: right" shows "$device" "$T/third"
    eval "exec $tell>&-"
    wait "$pid"
    check "$device: view" "$DMABUFFS" view "$file" -o "$T/third.png"
    check "$device: diff" "$DMABUFFS" diff "$file" "$T/third"
    width=1024 height=768 stride=4096
    rm "$file"

    # Who may not use the node.
    run as cp "$T/small" "$heap/x"
    says "$device: a user without rights on the node makes nothing" 1 'Permission denied'
    check "$device: root does" cp "$T/small" "$heap/x"
    rm "$heap/x"
    run as "$DMABUFFS" mount --heap "drm-$card" "$T/theirs"
    says "$device: nor has a mount of that user's that heap" 1 "/dev/dri/$card: permission denied (root:video, mode 0660)"
    says "$device: and is told how" 1 'usermod -aG video'
    chmod 666 "$node"
    check "$device: with the node's rights" as cp "$T/small" "$heap/x"
    equals "$device: it is that user's" "$(stat -c %u "$heap/x")" 65534
    rm "$heap/x"

    # A node that goes and comes back.
    mv "$node" /dev/dri/away
    for _ in {1..50}; do [[ -e $heap ]] || break; sleep 0.1; done
    check "$device: without its node there is no heap" [ ! -e "$heap" ]
    mv /dev/dri/away "$node"
    check "$device: and there it is again" cp "$T/small" "$heap/x"
    rm "$heap/x"
    doctor=$("$DMABUFFS" doctor --json)
    equals "$device: doctor tells of it" "$(jq -c ".heaps[] | select(.name == \"drm-$card\") | [.kind, .usable, .path]" <<<"$doctor")" \
        "[\"drm\",true,\"$path\"]"
    equals "$device: and of its node" "$(jq -r ".checks[] | select(.name == \"drm-$card\") | .state" <<<"$doctor")" ok
done
equals 'both displays were there' $displays 2
run "$tools/unit-tests" -# '[#drm_heap_test]'
says 'what needs a real display' 0 'All tests passed'
check 'unmount' unmount_it
for _ in {1..50}; do [[ $(dmabufs) == "$before" ]] && break; sleep 0.1; done
equals 'no dma-buf is left' "$(dmabufs)" "$before"

# It outlives the daemon where a service manager stores its descriptor.
manage 100 -o no_auto_unmount "$mnt"
order start
for heap in "$mnt"/heaps/drm-*; do
    cp "$T/first" "$heap/kept"
    "$DMABUFFS" format --format XR24 --size 1024x768 "$heap/kept"
    about "$heap/kept" inode
done >"$T/inodes"
order kill
order start
equals 'after a kill it starts' "${answer% *}" ready
equals 'with the same dma-bufs' "$(for heap in "$mnt"/heaps/drm-*; do about "$heap/kept" inode; done)" "$(cat "$T/inodes")"
equals 'of both displays' "$(wc -l <"$T/inodes")" 2
for heap in "$mnt"/heaps/drm-*; do
    equals "${heap##*/}: which are known for what they are" "$(about "$heap/kept" format | jq -r .text)" XR24:1024x768:stride=4096:offset=0
    check "${heap##*/}: which have their bytes" cmp "$T/first" "$heap/kept"
    check "${heap##*/}: and take larger files" cp "$T/long" "$heap/kept"
done
order stop
unmanage

run "$DMABUFFS" mount --heap drm-card9 "$mnt"
says 'a display that is not there is told' 1 '/dev/dri/card9 is not there'
run "$DMABUFFS" mount --heap drm-none "$mnt"
says 'and how they are called' 1 'called drm-card0'
modprobe -q vgem
for node in /dev/dri/card*; do
    [[ $(readlink -f "/sys/class/drm/${node##*/}/device") == */vgem ]] || continue
    run "$DMABUFFS" mount --heap "drm-${node##*/}" "$mnt"
    says 'a node that is no display makes no heap' 1 'its driver makes no dumb buffers'
done
exit "$failed"
