#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `dmabuffs umount`: waits for the daemon, names who holds a busy mount, and clears away a dead one.
# timeout: 180
set -uo pipefail
[[ -x $DMABUFFS ]] || exit 1

failed=0
check() { # NAME COMMAND...: the command must succeed
    local name=$1
    shift
    if "$@"; then echo "ok - $name"; else echo "not ok - $name"; failed=1; fi
}
status_is() { # WANTED COMMAND...
    local wanted=$1 status=0
    shift
    "$@" || status=$?
    [[ $status == "$wanted" ]] || { echo "status $status instead of $wanted: $*" >&2; return 1; }
}
mnt="$T/a mount"
mkdir "$mnt"
is_mounted() { awk -v at="${mnt// /\\\\040}" '$5 == at { found = 1 } END { exit !found }' /proc/self/mountinfo; }
gone() { ! is_mounted; }
daemon=
mount_it() { # OPTION...
    "$DMABUFFS" mount "$@" "$mnt" || exit 1
    daemon=$(jq .pid "$mnt/status")
}
ended() { [[ ! $(ps -o stat= -p "$daemon") =~ ^[^Z] ]]; } # a zombie has ended, its parent is only slow

mount_it
check 'it is mounted to begin with' is_mounted
check 'umount succeeds' "$DMABUFFS" umount "$mnt"
check 'the mount is gone when it returns' gone
check 'the daemon is gone when it returns' ended
check 'the same place can be mounted again at once' mount_it

cd "$T" || exit 1
ln -s "$mnt" link
check 'a symbolic link to the mount point will do' "$DMABUFFS" umount link
check 'and it is gone' gone
mount_it
check 'a relative path with a slash at its end will do' "$DMABUFFS" umount './a mount/'
check 'and it is gone' gone

check 'where nothing is mounted: 1' status_is 1 "$DMABUFFS" umount "$mnt" 2>err
check 'which it says' grep -q 'nothing is mounted there' err
check 'a mount of another type is left alone: 1' status_is 1 "$DMABUFFS" umount /proc 2>err
check 'whose type it names' grep -q 'type proc' err
check '/proc is still there' test -r /proc/self/stat
check 'without a path: 2' status_is 2 "$DMABUFFS" umount 2>/dev/null

mount_it
head -c 100000 /dev/urandom >"$mnt/heaps/memfd/held"
sleep 60 <"$mnt/heaps/memfd/held" &
holder=$!
(cd "$mnt/heaps" && exec sleep 60) &
visitor=$!
sleep 0.3
check 'a busy mount: 1' status_is 1 "$DMABUFFS" umount "$mnt" 2>err
check 'who has a file open is named' grep -q "$holder sleep (open file)" err
check 'who works in it is named' grep -q "$visitor sleep (working directory)" err
check 'the remedy is named' grep -q -- '--lazy' err
check 'it is still mounted' is_mounted
check '--lazy takes it away all the same' "$DMABUFFS" umount --lazy "$mnt"
check 'and it is gone' gone
kill "$holder" "$visitor"
wait "$holder" "$visitor" 2>/dev/null

mount_it -o no_auto_unmount
sleep 60 <"$mnt/status" &
holder=$!
sleep 0.3
kill -9 "$daemon"
until ended; do sleep 0.05; done
check 'a mount whose daemon died stays behind' is_mounted
check 'umount takes it away, though in use' "$DMABUFFS" umount "$mnt"
check 'and it is gone' gone
kill "$holder"

mkdir "$T/bind"
mount_it
if ((EUID == 0)) && mount --bind "$mnt" "$T/bind" 2>/dev/null; then
    SECONDS=0
    check 'a mount that is bound elsewhere too goes without waiting' "$DMABUFFS" umount "$mnt"
    check 'at once' [ "$SECONDS" -lt 5 ]
    check 'the other stays usable' test -r "$T/bind/status"
    check 'and goes in its turn' "$DMABUFFS" umount "$T/bind"
else
    "$DMABUFFS" umount "$mnt"
fi

if ((EUID == 0)) && [[ -w /dev/fuse ]]; then
    user=(setpriv --reuid 65534 --regid 65534 --clear-groups env -u XDG_RUNTIME_DIR)
    install -d -o 65534 -g 65534 "$T/theirs"
    chmod 755 "$T"
    if "${user[@]}" "$DMABUFFS" mount "$T/theirs"; then
        check 'an ordinary user unmounts what he mounted' "${user[@]}" "$DMABUFFS" umount "$T/theirs"
        check 'and it is gone' bash -c "! grep -q '$T/theirs' /proc/self/mountinfo"
    else
        echo 'not ok - an ordinary user can mount'
        failed=1
    fi
    mount_it
    check "but not root's: 1" status_is 1 "${user[@]}" "$DMABUFFS" umount "$mnt" 2>err
    check 'which stays' is_mounted
    "$DMABUFFS" umount "$mnt"
fi
exit "$failed"
