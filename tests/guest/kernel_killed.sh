#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The daemon is killed while the kernel module moves bytes of a disk that does not answer: nobody hangs, nothing of it
# stays, and the next mount works.
# vm: --memory 2048 --scratch 1G
# timeout: 240
source "$(dirname "$0")/common.bash"

size=$((32 << 20))
slow=/dev/mapper/slow
mkdir "$disk"
clean_up() {
    dmsetup resume slow
    umount "$disk"
    dmsetup remove slow
} 2>/dev/null
trap clean_up EXIT
if ! { dmsetup create slow --table "0 $(blockdev --getsz /dev/vda) linear /dev/vda 0" && mkfs.ext4 -q -F $slow &&
    mount $slow "$disk"; }; then
    echo 'not ok - a file system for this test'
    exit 1
fi
head -c $size /dev/urandom >"$disk/x"
cp "$disk/x" "$disk/back"
head -c 1M "$disk/x" >"$disk/first"
sync
load_module
dmabufs_before=$(dmabufs)

in_module() { # PID: one of its threads
    local task
    for _ in {1..100}; do
        for task in "/proc/$1/task/"*; do
            [[ $(<"$task/stack") == *'[dmabuf_file]'* ]] && return
        done 2>/dev/null
        sleep 0.1
    done
    return 1
}
ended() { # PID: within ten seconds
    for _ in {1..100}; do kill -0 "$1" 2>/dev/null || return 0; sleep 0.1; done
    return 1
}

for heap in system direct; do
    for way in into 'out of'; do
        what="cp $way $heap"
        mount_it --files d="$disk" --require-direct -o no_auto_unmount
        dir=$mnt/heaps/$heap
        cp "$mnt/files/d/first" "$dir/first" # the daemon has a look at the file system then
        rm "$dir/first"
        command=(cp "$mnt/files/d/x" "$dir/y")
        if [[ $way == 'out of' ]]; then
            "${command[@]}"
            command=(cp "$dir/y" "$mnt/files/d/back")
        fi
        sync
        dd if="$disk/x" iflag=nocache count=0 status=none # its pages alone: the way to the files stays known
        dmsetup suspend --noflush --nolockfs slow
        "${command[@]}" 2>"$T/said" &
        copy=$!
        check "$what: the module waits for the disk" in_module "$daemon"
        kill -KILL "$daemon"
        sleep 0.5
        dmsetup resume slow
        check "$what: the killed daemon ends when the disk answers" ended "$daemon"
        check "$what: so does the copy" ended $copy
        wait $copy
        equals "$what: which failed" $? 1
        check "$what: the dead mount is taken away" unmount_it
        equals "$what: no dma-buf is left" "$(dmabufs)" "$dmabufs_before"
        mount_it --files d="$disk"
        check "$what: the next mount copies" cp "$mnt/files/d/x" "$dir/y"
        check "$what: and rightly" cmp "$disk/x" "$dir/y"
        check "$what: unmount" unmount_it
    done
done
check 'the module goes' rmmod dmabuf_file
exit $failed
