#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The program as mount(8) and mount.fuse3 call it.
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
mnt=$T/mnt
mkdir "$mnt" "$T/da,ta"
ln -s "$DMABUFFS" "$T/mount.dmabuffs"
entry() { awk -v at="$mnt" '$5 == at' /proc/self/mountinfo; }
mounted() { [[ $(entry) ]]; }
not_mounted() { ! mounted; }
is_named() { [[ $(entry) == *"fuse.dmabuffs $1 "* ]]; }

check 'mount.dmabuffs SOURCE MOUNTPOINT -o OPTIONS mounts' "$T/mount.dmabuffs" a-name "$mnt" -n -v \
    -o "rw,nofail,x-systemd.automount,nosuid,size=64M,files=d=$T/da\\,ta"
check 'under the name of the source' is_named a-name
check 'with the options of the kernel' bash -c "awk -v at='$mnt' '\$5 == at { print \$6 }' /proc/self/mountinfo | grep -q nosuid"
check 'and those of dmabuffs' test -d "$mnt/files/d"
check 'the size among them' [ "$(jq .settings.size "$mnt/status")" == $((64 << 20)) ]
"$DMABUFFS" umount "$mnt"

check 'dmabuffs SOURCE MOUNTPOINT -o OPTIONS mounts too' "$DMABUFFS" other "$mnt" -o rw,noatime
check 'under its name' is_named other
"$DMABUFFS" umount "$mnt"

not_a_source() { [[ $("$DMABUFFS" "$1" A -o NOSUCH 2>&1) != *'what every file system takes'* ]]; }
for word in $("$DMABUFFS" --help | sed -n '/^Subcommands:/,$s/^  \([a-z]*\).*/\1/p'); do
    [[ $word == mount ]] || check "$word is a command and no SOURCE" not_a_source "$word"
done

check '--help is about mount.dmabuffs' bash -c '"$1" --help | grep -qF "Usage: mount.dmabuffs SOURCE DIR [-sfnv] [-o OPTIONS]"' - "$T/mount.dmabuffs"
check '--version tells the version' bash -c '"$1" --version | grep -q "^dmabuffs [0-9]"' - "$T/mount.dmabuffs"
check '-f is a rehearsal' "$T/mount.dmabuffs" none "$mnt" -f -o rw
check 'that mounts nothing' not_mounted
check 'an unknown option: 2' status_is 2 "$T/mount.dmabuffs" none "$mnt" -o nonsense 2>"$T/err"
check 'which is named' grep -q nonsense "$T/err"
check 'without a mount point: 2' status_is 2 "$T/mount.dmabuffs" none 2>/dev/null
check 'a mount point that is not there: 1' status_is 1 "$T/mount.dmabuffs" none "$T/none" -o rw 2>/dev/null
exit "$failed"
