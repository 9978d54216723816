# SPDX-License-Identifier: MIT
# Sourced by the tests of descriptors that hang whoever closes them: a file system $T/hang that has such files, and mounts
# whose control socket all may use.
source "$(dirname "${BASH_SOURCE[0]}")/cp_common.bash"
if ((EUID)); then
    trap - EXIT
    echo 'skip - only root mounts a FUSE file system that the daemon may open'
    exit
fi
soon() { # TEST...: within two minutes
    local i
    for ((i = 0; i < 1200; ++i)); do
        "$@" && return
        sleep 0.1
    done
    return 1
}
hang() { # [written]: tests/tools/hanging-fuse.cpp
    chmod 755 "$T"
    mkdir "$T/hang"
    "$DMABUFFS_BUILD/tests/hanging-fuse" "$T/hang" "$@" &
    server=$!
    # Its death lets go whoever hangs there.
    trap 'kill -9 "$server"; umount -l "$T/hang"; finish' EXIT
    soon test -e "$T/hang/file"
}
start() { # OPTIONS...
    mount_it "$@"
    daemon=$(jq .pid "$mnt/status")
    socket=$("$DMABUFFS" socket "$mnt")
    chmod 666 "$socket"
}
no_thread_hangs() { refuses bash -c "grep -l '^State:.D' /proc/$daemon/task/*/status | grep -q ."; }
ended() { [[ ! $(ps -o stat= -p "$daemon") =~ ^[^Z] ]]; } # a zombie has ended, its parent is only slow
end_mount() {
    run timeout 60 "$DMABUFFS" umount "$mnt"
    check 'the mount goes' test "$status" = 0
    check 'and its daemon ends, with all that it held' soon ended
}
