#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A mount in the background keeps nothing that its caller had open: who waits for the end of a pipe, or for a lock, waits
# for the caller alone.
source "$(dirname "$0")/lib.sh"
# What a process has open from number 3 on that this file is.
holds() { # FILE
    local fd
    for fd in /proc/[0-9]*/fd/*; do
        if [[ $fd -ef $1 && $fd != /proc/$$/* && $fd != /proc/self/* ]]; then echo "$fd"; fi
    done 2>/dev/null
}
mount_with() { # OPTION...: with a pipe on number 9, on standard output and error, and a lock on number 8
    mkfifo "$T/fifo"
    exec 7<>"$T/fifo"
    bash -c 'exec 8>"$2/lock" 9>"$2/fifo" && flock -x 8 && "$1" mount "${@:4}" "$3" >&9 2>&9' - "$DMABUFFS" "$T" "$mnt" "$@" 7<&-
    status=$?
    exec 7<&-
}
for options in '' '-o no_auto_unmount'; do
    rm -f "$T/fifo"
    read -ra words <<<"$options"
    mount_with "${words[@]}"
    check "mounted ${options:-with fusermount3 beside it}" is_mounted "$mnt"
    is 'nobody has the pipe open' "$(holds "$T/fifo")" ''
    is 'nor the file of the lock' "$(holds "$T/lock")" ''
    check 'the lock is free' flock -n "$T/lock" true
    is 'what is substituted for the command ends with it' "$(within 20 "$DMABUFFS" umount "$mnt" && within 20 "$DMABUFFS" mount "${words[@]}" "$mnt" 3>&1 && echo ended)" ended
    is "the daemon's standard streams are nobody's" \
        "$(for fd in 0 1 2; do readlink "/proc/$(daemon)/fd/$fd"; done | sort -u)" /dev/null
    "$DMABUFFS" umount "$mnt"
done
for closed in '0<&-' '1>&-' '2>&-' '0<&- 1>&-' '0<&- 1>&- 2>&-'; do
    within 20 bash -c "exec \"\$1\" mount \"\$2\" $closed" - "$DMABUFFS" "$mnt"
    check "a caller with $closed mounts as well" is_mounted "$mnt"
    "$DMABUFFS" umount "$mnt"
done
run bash -c '"$1" mount --files "$2/none" "$3" 2>/dev/full' - "$DMABUFFS" "$T" "$mnt"
says 'an error that can not be shown is an error: 1' 1 ''
run "$DMABUFFS" mount -o size=999T "$mnt"
says 'a warning comes by the caller' 0 'a warning: '
"$DMABUFFS" umount "$mnt"

# In the foreground the caller's files are the daemon's, which is the caller's job, but not those of fusermount3.
exec 9>"$T/lock"
"$DMABUFFS" mount -f "$mnt" 2>/dev/null &
until [[ -r $mnt/status ]]; do sleep 0.1; done
is 'fusermount3 has none of them' "$(pgrep -x fusermount3 | while read -r pid; do holds "$T/lock" | grep "^/proc/$pid/"; done)" ''
exec 9>&-
