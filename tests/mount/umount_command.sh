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
check 'a directory in the mount: 1' status_is 1 "$DMABUFFS" umount "$mnt/heaps" 2>err
check 'and the mount point is named' grep -qF "in the mount at $mnt" err
check 'a busy mount: 1' status_is 1 "$DMABUFFS" umount "$mnt" 2>err
check 'who has a file open is named' grep -q "$holder sleep (open file)" err
check 'who works in it is named' grep -q "$visitor sleep (working directory)" err
check 'the remedy is named' grep -q -- '--lazy' err
check 'it is still mounted' is_mounted
check '--lazy takes it away all the same' "$DMABUFFS" umount --lazy "$mnt"
check 'and it is gone' gone
kill "$holder" "$visitor"
wait "$holder" "$visitor" 2>/dev/null

mount_it
if ((EUID == 0)) && mkdir "$mnt/heaps/memfd/inside" && mount -t tmpfs none "$mnt/heaps/memfd/inside"; then
    check 'busy by a mount inside: 1' status_is 1 "$DMABUFFS" umount "$mnt" 2>err
    check 'which is named' grep -qF "a mount of type tmpfs lies inside, at $mnt/heaps/memfd/inside: umount that first" err
    umount "$mnt/heaps/memfd/inside"
fi
check 'unmount is umount' "$DMABUFFS" unmount "$mnt"
mkdir "$T/other"
"$DMABUFFS" mount "$T/other"
mount_it
check 'several are taken, and one that is not there does not keep the others: 1' \
    status_is 1 "$DMABUFFS" umount 'a mount' none other "$mnt" 2>err
said=$(<err)
check 'it alone is named' [ "$said" = "dmabuffs: umount: none: No such file or directory" ]
check 'they are gone' gone
check 'all of them' rmdir "$T/other"

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

mount_it
sleep 60 <"$mnt/status" &
holder=$!
sleep 0.3
"$DMABUFFS" umount --lazy "$mnt"
mount_it
SECONDS=0
check 'where a detached mount had the same place, umount waits for the daemon of the mount that is there' \
    "$DMABUFFS" umount "$mnt" 2>err
check 'at once' [ "$SECONDS" -lt 5 ]
check 'without a word' [ ! -s err ]
check 'and it has ended' ended
kill "$holder"
wait "$holder" 2>/dev/null

mount_it
check 'umount . from within does not wait for itself' bash -c 'cd "$2" && exec "$1" umount .' - "$DMABUFFS" "$mnt"
check 'and it is gone' gone
mount_it
bash -c 'cd "$2" && { "$1" umount .; echo "$? $$"; }' - "$DMABUFFS" "$mnt" >out 2>err
read -r status shell <out
check 'from a shell that stays within: 1' [ "$status" == 1 ]
check 'the shell is named, and what to do' grep -q "in use by $shell bash (the caller's working directory); cd out of the mount, or" err
sleep 60 <"$mnt/status" &
holder=$!
check 'if others hold it, too: 1' status_is 1 bash -c 'cd "$2" && "$1" umount .; exit $?' - "$DMABUFFS" "$mnt" 2>err
check 'they are to end' grep -q 'cd out of the mount and end the others, or' err
kill "$holder"
wait "$holder" 2>/dev/null
check 'umount "" is not umount .: 1' status_is 1 bash -c 'cd "$2" && exec "$1" umount ""' - "$DMABUFFS" "$mnt" 2>err
check 'an empty name is shown' grep -q "'': No such file" err
check 'it is still mounted' is_mounted
"$DMABUFFS" umount "$mnt"

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

if ((EUID == 0)); then
    user=(setpriv --reuid 65534 --regid 65534 --clear-groups env -u XDG_RUNTIME_DIR)
    install -d -o 65534 -g 65534 "$T/theirs"
    chmod 755 "$T"
    third=(setpriv --reuid 65533 --regid 65533 --clear-groups env -u XDG_RUNTIME_DIR)
    if "${user[@]}" "$DMABUFFS" mount "$T/theirs"; then
        his=$(id -un 65534 2>/dev/null || echo 'uid 65534')
        check "another does not unmount it: 1" status_is 1 "${third[@]}" "$DMABUFFS" umount "$T/theirs" 2>err
        check 'who may is named' grep -q "mounted by $his; only $his and root may unmount it" err
        check "nor mounts there: 1" status_is 1 "${third[@]}" "$DMABUFFS" mount "$T/theirs" 2>err
        check 'whose it is is named' grep -q "a dmabuffs mount of $his is there already; choose another directory" err
        check 'an ordinary user unmounts what he mounted' "${user[@]}" "$DMABUFFS" umount "$T/theirs"
        check 'and it is gone' bash -c "! grep -q '$T/theirs' /proc/self/mountinfo"
    else
        echo 'not ok - an ordinary user can mount'
        failed=1
    fi
    # As in a tree made by debootstrap, where systemd has not made it: fusermount3 does nothing without.
    cp -r --no-dereference --preserve=mode,links /etc "$T/etc" && rm -f "$T/etc/mtab"
    without_mtab() { unshare -m sh -c 'mount --bind "$0" /etc && exec "$@"' "$T/etc" "${user[@]}" sh -c "$1" "$DMABUFFS" "$T/theirs"; }
    # shellcheck disable=SC2016 # expanded there
    check 'without /etc/mtab he unmounts it, too' without_mtab '"$0" mount "$1" && "$0" umount "$1" && "$0" mount "$1" && "$0" umount --lazy "$1"'
    # shellcheck disable=SC2016
    check 'and mounts again where a daemon has died' without_mtab '"$0" mount "$1" && kill -9 "$(jq .pid "$1/status")" && sleep 1 &&
        "$0" mount "$1" 2>/dev/null && test -r "$1/status" && "$0" umount "$1"'
    mount_it
    check "but not root's: 1" status_is 1 "${user[@]}" "$DMABUFFS" umount "$mnt" 2>err
    check 'which it says' grep -q 'mounted by root; only root may' err
    check 'which stays' is_mounted
    "$DMABUFFS" umount "$mnt"
fi
exit "$failed"
