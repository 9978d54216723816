#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Video devices capture into buffers that they are handed, and show them: the file is the frame, in huge pages, too.
# vm: --memory 2048 --cpus 1
# timeout: 600
source "$(dirname "$0")/common.bash"
# A webcam; an HDMI input and the HDMI output that it looks at.
check 'video devices' modprobe vivid n_devs=2 node_types=0x1,0x101 num_inputs=1,1 input_types=0,3 num_outputs=0,1 output_types=0,1
node() { # NAME: that vivid gave the device
    local name
    for name in /sys/class/video4linux/*/name; do
        if [[ $(<"$name") == "$1" ]]; then echo "/dev/$(basename "$(dirname "$name")")"; fi
    done
}
webcam=$(node vivid-000-vid-cap) input=$(node vivid-001-vid-cap) output=$(node vivid-001-vid-out)
frame() { "$tools/v4l2-frame" "$@"; }
capture() { "$DMABUFFS" exec "$@" -- "$tools/v4l2-frame" capture 1920 1080 "$webcam" 3; } # [OPTION] BUFFER
frame capture 1280 720 "$input" >"$T/own" # what it shows until it is connected, which vivid leaves to a work queue
show() {
    local _
    for _ in {1..20}; do
        "$DMABUFFS" exec "$@" -- "$tools/v4l2-frame" show 1280 720 "$input" 3 "$output" >"$T/seen" || return
        cmp -s "$T/own" "$T/seen" || return 0
    done
}
sum() { sha256sum | cut -d' ' -f1; }
# Before 7.3 udmabuf shows importers that go by the CPU wrong bytes of huge pages.
fault=''
kernel_since 7.3 || fault=1

load_module
mount_it
length=$((1920 * 1080 * 2)) shown=$((1280 * 720 * 2))
frame capture 1920 1080 "$webcam" >"$T/frame"
equals 'a frame in memory of the device' "$(stat -c %s "$T/frame")" $length
captured=$(sum <"$T/frame")
equals 'is the same each time' "$(frame capture 1920 1080 "$webcam" | sum)" "$captured"
# More than is shown: huge pages are taken where they fit.
head -c $((4 << 20)) /dev/urandom >"$T/picture"

memory_files=/sys/kernel/mm/transparent_hugepage/shmem_enabled
for pages in 0 8 'memory files have'; do # the last: none is set aside, but memfds get them
    if [[ $pages == memory* ]]; then
        huge_pages 0
        echo advise >$memory_files
    else
        huge_pages "$pages"
    fi
    for heap in udmabuf system direct; do
        name="$heap, $pages huge pages in the machine"
        huge='' moved=''
        if [[ $heap == udmabuf && $pages != 0 ]]; then huge=1; fi
        if [[ $huge && $fault ]]; then moved='moved to 4 KiB pages'; fi

        buffer=$mnt/heaps/$heap/frame
        truncate -s $length "$buffer"
        if [[ $huge ]]; then check "$name: the buffer has them" test "$(about "$buffer" huge_bytes)" -ge $((2 << 20)); fi
        run capture "$buffer"
        says "$name: a frame is captured into the buffer" 0 "$moved"
        equals "$name: the file is the frame" "$(sum <"$buffer")" "$captured"
        rm "$buffer"

        buffer=$mnt/heaps/$heap/picture
        cp "$T/picture" "$buffer"
        run show "$buffer"
        says "$name: the buffer is shown" 0 "$moved"
        check "$name: what is seen is the file" cmp -n $shown "$T/picture" "$T/seen"
        equals "$name: all of it" "$(stat -c %s "$T/seen")" $shown
        rm "$buffer"
    done
done

echo never >$memory_files
huge_pages 8

# As they are: right on kernels without the fault.
buffer=$mnt/heaps/udmabuf/huge
truncate -s $length "$buffer"
run capture --huge "$buffer"
says 'a frame is captured into huge pages' 0 ''
check 'they stay what they are' test "$(about "$buffer" huge_bytes)" -ge $length
different=$(cmp -l "$T/frame" "$buffer" | wc -l)
echo "# $different of $length bytes differ"
if [[ $fault ]]; then
    check 'this kernel writes the frame elsewhere' test "$different" -gt 0
else
    equals 'and the file is the frame' "$different" 0
fi
check 'unmount' unmount_it
exit "$failed"
