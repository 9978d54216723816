#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A video device captures into buffers that it is handed: what the files hold is the frame, in huge pages, too.
# vm: --memory 2048 --scratch 1G
# timeout: 600
source "$(dirname "$0")/common.bash"
check 'a video device' modprobe vivid n_devs=1 node_types=1
for _ in {1..50}; do [[ -c /dev/video0 ]] && break; sleep 0.1; done
make_disk
load_module
mount_it --files d="$disk"
capture() { "$tools/v4l2-capture" /dev/video0 1920 1080; }
length=$(capture 2>&1 >"$T/frame")
equals 'a frame by the device itself' "$length" "$(stat -c %s "$T/frame")"
capture >"$T/again" 2>/dev/null
check 'is the same each time' cmp "$T/frame" "$T/again"
for huge in 0 8; do
    huge_pages $huge
    for heap in udmabuf system direct; do
        buffer=$mnt/heaps/$heap/frame$huge
        truncate -s "$length" "$buffer"
        before=$(about "$buffer" huge_bytes)
        run "$DMABUFFS" exec "$buffer" -- "$tools/v4l2-capture" /dev/video0 1920 1080 3
        says "$heap ($huge huge pages, $before bytes in them): captured into the buffer" 0 "$length"
        check "$heap ($huge huge pages): the file is the frame" cmp "$T/frame" "$buffer"
        if [[ $heap == udmabuf && $huge != 0 ]]; then
            check 'a udmabuf had its huge pages' test "$before" -gt 0
            says 'and that it was moved is said' 0 'moved to 4 KiB pages'
            equals 'it has none now' "$(about "$buffer" huge_bytes)" 0
        fi
    done
done
huge_pages 0
unmount_it
exit "$failed"
