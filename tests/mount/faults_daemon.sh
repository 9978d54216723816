#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The daemon is killed: nobody hangs, and the next mount works.
source "$(dirname "$0")/lib.sh"
ended() { # PID: within ten seconds
    for _ in {1..100}; do kill -0 "$1" 2>/dev/null || return 0; sleep 0.1; done
    return 1
}
truncate -s 3G "$data/big"
for way in '' '-o no_auto_unmount'; do
    # shellcheck disable=SC2086 # no option or two words
    mount_it $way
    pid=$(daemon)
    cp --sparse=never "$files/big" "$heap/big" 2>/dev/null &
    copy=$!
    sleep 0.5
    kill -9 "$pid"
    check "a cp whose daemon is killed ends ($way)" ended $copy
    wait $copy && miss 'and tells of it' || pass 'and tells of it'
    check 'the daemon is gone' ended "$pid"
    if [[ $way ]]; then
        check 'without auto_unmount the mount is still there' is_mounted "$mnt"
        run ls "$mnt"
        says 'and dead' 2 'not connected'
    else
        for _ in {1..50}; do is_mounted "$mnt" || break; sleep 0.1; done
        check 'auto_unmount took the mount away' refuses is_mounted "$mnt"
    fi
    mount_it
    check 'the next mount is made at the same place' test -r "$mnt/status"
    is 'once' "$(grep -c "$T/a.040mount" /proc/self/mountinfo)" 1
    echo works >"$heap/works"
    is 'and works' "$(cat "$heap/works")" works
    "$DMABUFFS" umount "$mnt"
done
mount_it -o no_auto_unmount
pid=$(daemon)
kill -TERM "$pid"
check 'SIGTERM ends the daemon' ended "$pid"
check 'and its mount' refuses is_mounted "$mnt"
