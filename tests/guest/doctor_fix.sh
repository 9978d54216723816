#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `dmabuffs doctor` with real devices, and `--fix`, which changes the machine: so only in a guest of its own.
# vm: --memory 2048
set -uo pipefail

# --fix sets the whole machine's huge pages and limits; a guest's are thrown away with it.
if [[ ${DMABUFFS_REAL-} != 1 ]]; then
    echo 'skip - changes settings of the whole machine: for a guest only'
    exit 77
fi
failed=0
check() { # NAME COMMAND...: the command must succeed
    local name=$1
    shift
    if "$@"; then echo "ok - $name"; else echo "not ok - $name"; failed=1; fi
}
state() { "$DMABUFFS" doctor --json | jq -r --arg name "$1" '.checks[] | select(.name == $name) | .state'; }
path_of() { "$DMABUFFS" doctor --json | jq -r --arg name "$1" '.heaps[] | select(.name == $name) | .path'; }

parameters=/sys/module/udmabuf/parameters
echo 64 >$parameters/size_limit_mb
echo 0 >/proc/sys/vm/nr_overcommit_hugepages
echo deny >/sys/kernel/mm/transparent_hugepage/shmem_enabled # "never", the default, is no lack from 7.3 on
doctor() { "$@" "$DMABUFFS" doctor >/dev/null; } # as whom, if not as root
fix() { "$DMABUFFS" doctor --fix >/dev/null 2>&1; }
check 'with real devices: exit 0' doctor
check 'udmabuf goes pinned-direct' [ "$(path_of udmabuf)" == pinned-direct ]
check 'the system heap goes bounce-direct' [ "$(path_of system)" == bounce-direct ]
check 'the 64 MiB limit is a warning' [ "$(state udmabuf-size)" == warn ]
check 'huge pages that are off are a warning' [ "$(state huge-pages)" == warn ]

check '--fix succeeds' fix
check 'the limit is raised' [ "$(<$parameters/size_limit_mb)" -gt 64 ]
check 'huge pages are allowed' grep -qF '[advise]' /sys/kernel/mm/transparent_hugepage/shmem_enabled
check 'the limit is ok now' [ "$(state udmabuf-size)" == ok ]
check 'huge pages are ok now' [ "$(state huge-pages)" == ok ]
check 'a second --fix has nothing to run' [ -z "$("$DMABUFFS" doctor --fix 2>&1 >/dev/null)" ]

# A device that has lost its node.
number=$(</sys/class/misc/udmabuf/dev)
mnt=$T/mnt
mkdir "$mnt" && "$DMABUFFS" mount "$mnt" || { echo 'not ok - the mount for this test'; exit 1; }
head -c 300000 /dev/urandom >"$T/in" && cp "$T/in" "$mnt/heaps/udmabuf/kept"
rm /dev/udmabuf
check 'a missing node is told' [ "$(state udmabuf)" == missing ]
check 'a buffer outlives its node' cmp "$T/in" "$mnt/heaps/udmabuf/kept"
check 'and is still listed' [ "$(ls "$mnt/heaps/udmabuf")" == kept ]
check 'and written' sh -c "echo new | dd of='$mnt/heaps/udmabuf/kept' conv=notrunc status=none && head -n 1 '$mnt/heaps/udmabuf/kept' | grep -qx new"
no_other() { ! sh -c "echo x >'$mnt/heaps/udmabuf/other'" 2>/dev/null; }
check 'but there can be no other' no_other
rm "$mnt/heaps/udmabuf"/*
check 'with the last buffer the heap is gone' [ "$(cd "$mnt/heaps" && echo u*)" == 'u*' ]
fix
check 'and back with the node' test -d "$mnt/heaps/udmabuf"
"$DMABUFFS" umount "$mnt"
check 'and made again' [ "$(stat -c '%Hr:%Lr' /dev/udmabuf)" == "$number" ]

# For an ordinary user, as sudo calls it.
useradd -M tester 2>/dev/null
uid=$(id -u tester)
as_user() { setpriv --reuid "$uid" --regid "$(id -g tester)" --init-groups "$@"; }
chown root:root /dev/udmabuf /dev/dma_heap/system
chmod 600 /dev/udmabuf /dev/dma_heap/system
chmod 666 /dev/fuse
denied() { ! doctor as_user; }
check 'a user without rights: exit 1' denied
chgrp kvm /dev/udmabuf
chmod 660 /dev/udmabuf
SUDO_UID=$uid fix
check '--fix puts the user who called sudo into the group' bash -c 'id -nG tester | grep -qw kvm'
check 'and gives him the other node by an access control list' bash -c 'getfacl -cp /dev/dma_heap/system | grep -q user:tester:rw'
check 'he has a direct path now' doctor as_user
check 'and exec works for him on udmabuf, by his group' as_user "$DMABUFFS" exec -- sh -c \
    'head -c 100000 /dev/urandom >/tmp/in && cp /tmp/in "$DMABUFFS_MOUNT/heaps/udmabuf/b" && cmp /tmp/in "$DMABUFFS_MOUNT/heaps/udmabuf/b"'
exit "$failed"
