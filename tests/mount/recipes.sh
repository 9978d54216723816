#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# docs/recipes.md, Containers: a root directory of its own, in namespaces of its own, with one directory from outside.
# shellcheck disable=SC2016 # for the inner shells
source "$(dirname "$0")/lib.sh"
((EUID == 0)) || { echo 'skip - needs root for a root directory of its own'; exit 77; }
# The mount lies where its socket does.
mkdir -p /run/dmabuffs
mnt=$(mktemp -d "/run/dmabuffs/test-${T##*/}.XXXX")
heap=$mnt/heaps/memfd
finish() { # in place of that of lib.sh
    cd /
    "$DMABUFFS" umount "$mnt" || { miss 'the mount is taken away'; "$DMABUFFS" umount --lazy "$mnt"; }
    rmdir "$mnt"
    exit "$failed"
}
mount_it -o allow_other
random 5000 >"$T/weights"
cp "$T/weights" "$heap/weights"
chmod 666 "$heap/weights"
cp "$DMABUFFS" "$T/program"
root=$T/root
mkdir "$root"
# What a container has of the machine: its programs, and the one directory.
inside() { # COMMAND...
    unshare --mount --pid --ipc --net --uts --fork bash -c '
        set -e
        root=$1 program=$2
        shift 2
        mount -t tmpfs none "$root"
        cd "$root"
        mkdir -p usr etc proc tmp run/dmabuffs
        for link in bin sbin lib lib64; do [[ ! -L /$link ]] || cp -P "/$link" .; done
        mount --rbind -o ro /usr usr
        mount -t proc none proc
        mount --rbind /run/dmabuffs run/dmabuffs
        cp "$program" tmp/dmabuffs
        mkdir old
        pivot_root . old
        cd /
        umount -l old
        exec "$@"' bash "$root" "$T/program" "$@"
}
check 'the container sees nothing else of the machine' inside bash -c '[[ ! -e $1 && -d $2 ]]' bash "$T/weights" "$heap"
inside /tmp/dmabuffs exec "$heap/weights" -- head -c 5000 /proc/self/fd/3 >"$T/seen" 2>"$T/err"
same 'a program in it is handed the buffer by name' "$T/weights" "$T/seen"
run inside /tmp/dmabuffs info "$heap/weights"
says 'info in it tells what the buffer is' 0 'memfd'
inside setpriv --reuid 65534 --regid 65534 --clear-groups /tmp/dmabuffs exec "$heap/weights" -- head -c 5000 /proc/self/fd/3 >"$T/seen" 2>"$T/err"
same 'another user in it is handed what that user may read and write' "$T/weights" "$T/seen"
chmod 600 "$heap/weights"
run inside setpriv --reuid 65534 --regid 65534 --clear-groups /tmp/dmabuffs exec "$heap/weights" -- true
says 'and nothing else' 1 'ermission denied'
# Without the directory: the descriptor itself goes in.
export -f inside
export root T
"$DMABUFFS" exec "$heap/weights" -- bash -c 'inside head -c 5000 /proc/self/fd/3' >"$T/seen" 2>"$T/err"
same 'a descriptor goes into it with the program' "$T/weights" "$T/seen"
