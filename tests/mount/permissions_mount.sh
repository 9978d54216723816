#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Who may do what: an ordinary user's own mount, and a mount of root's that others see.
source "$(dirname "$0")/lib.sh"
((EUID == 0)) || { echo 'skip - needs root to become others'; exit 77; }
as() { setpriv --reuid "$1" --regid "$1" --clear-groups env -u XDG_RUNTIME_DIR "${@:2}"; }
other=65534 third=65533
theirs=$T/theirs
trap 'is_mounted "$theirs" && umount "$theirs"; finish' EXIT
chmod 755 "$T" "$outside" "$data"
install -d -o $other -g $other "$theirs" "$T/mine"

# Of root, for all.
mount_it -o allow_other
random 100000 >"$heap/secret" && chmod 600 "$heap/secret"
random 100000 >"$heap/open" && chmod 644 "$heap/open"
check "another can't read a buffer that is not his to read" refuses as $other cat "$heap/secret"
check "nor copy it" refuses as $other cp "$heap/secret" "$T/mine/copy"
check "nor have dmabuffs copy it" refuses as $other "$DMABUFFS" cp "$heap/secret" "$T/mine/copy"
check 'he reads one that is' as $other cmp "$heap/open" "$heap/open"
check "but can't write it" refuses as $other sh -c "echo x >>'$heap/open'"
check 'nor cut it' refuses as $other truncate -s 0 "$heap/open"
check 'nor change its mode' refuses as $other chmod 666 "$heap/open"
is 'status does not tell him of what he may not read' \
    "$(as $other cat "$mnt/status" | jq -c '[.buffers[]?.path]')" '["heaps/memfd/open"]'
if as $other touch "$heap/his" 2>/dev/null; then
    is 'what he makes is his' "$(stat -c '%u %g' "$heap/his")" "$other $other"
    check 'and not removed by a third' refuses as $third rm -f "$heap/his"
    as $other chmod 600 "$heap/his"
    check 'nor read' refuses as $third cat "$heap/his"
    check 'he removes it' as $other rm "$heap/his"
    check "but not another's" refuses as $other rm -f "$heap/open"
else
    is 'he makes none where the heap is not his to use' "$(stat -c %a "$heap" | grep -c '[2367]$')" 0
fi
install -d -m 777 "$heap/shared" && chmod 1777 "$heap/shared"
as $other sh -c "umask 022; echo his >'$heap/shared/a'"
is 'in a directory for all, what he makes is his' "$(stat -c '%u %g %a' "$heap/shared/a")" "$other $other 644"
check 'a third reads it' as $third cat "$heap/shared/a" >/dev/null
check "the sticky bit keeps it from the third's rm" refuses as $third rm -f "$heap/shared/a"
check 'and mv' refuses as $third mv "$heap/shared/a" "$heap/shared/b"
check 'its owner moves it' as $other mv "$heap/shared/a" "$heap/shared/b"
check 'nobody gives his files away' refuses as $other chown $third "$heap/shared/b"
check 'root does' chown $third "$heap/shared/b"

echo host >"$data/secret" && chmod 600 "$data/secret"
check 'files/ acts as who calls: no reading' refuses as $other cat "$files/secret"
check 'and no making' refuses as $other touch "$files/new"
chmod 777 "$data"
check 'where the host lets him he makes a file' as $other touch "$files/new"
is 'that is his on the host' "$(stat -c %u "$data/new")" $other
"$DMABUFFS" umount "$mnt"

# Of root, for all, with a size: nobody but the owner gets more than his share of it, half.
mount_it -o allow_other,size=64M
install -d -m 777 "$heap/shared"
check "another's 32 MiB are within his share" as $other fallocate -l 32M "$heap/shared/his"
run as $other fallocate -l 1M "$heap/shared/more"
says 'more than his share is refused' 1 'No space left'
check 'and status says whose share it was' grep -q "share of user $other" "$mnt/status"
rm -f "$heap/shared/more"
run as $other sh -c "head -c 1M /dev/zero >'$heap/shared/more'"
check 'written, too' test "$status" != 0
check 'the owner is unaffected' fallocate -l 30M "$heap/mine"
rm "$heap/mine"
check 'and so is a third' as $third fallocate -l 30M "$heap/shared/thirds"
rm "$heap/shared/thirds"
as $other rm -f "$heap/shared/his" "$heap/shared/more"
check 'what he removes he may have again' as $other fallocate -l 32M "$heap/shared/again"
"$DMABUFFS" umount "$mnt"

# Of root, for root.
mount_it
check 'without allow_other others do not get in' refuses as $other ls "$mnt"
"$DMABUFFS" umount "$mnt"

# Of root, for root and himself: the same, but by allow_root.
mount_it -o allow_root
check 'with allow_root others do not get in' refuses as $other ls "$mnt"
check 'root does' test -r "$mnt/status"
"$DMABUFFS" umount "$mnt"

# Of an ordinary user. Where he may not mount he is told why, by fusermount3's rules.
install -d "$T/foreign"
run as $other "$DMABUFFS" mount "$T/foreign"
says "not on a directory that he can't write" 1 "$T/foreign: can't be mounted: it belongs to root and you may not write"
install -d -m 1777 "$T/sticky"
run as $other "$DMABUFFS" mount "$T/sticky"
says "nor on a sticky one of another's" 1 'it belongs to root and has the sticky bit'
check 'what could help is said, too' test "${out%make a directory of your own*}" != "$out"
if ! grep -q '^ *user_allow_other' /etc/fuse.conf 2>/dev/null; then
    for option in allow_other allow_root; do
        run as $other "$DMABUFFS" mount -o $option "$theirs"
        says "-o $option is not his to give" 1 "-o $option is for ordinary users only where root has put the line user_allow_other"
    done
fi
check 'nothing is mounted by that' refuses grep -qE "$T/(foreign|sticky|theirs)" /proc/self/mountinfo
check 'an ordinary user mounts' as $other "$DMABUFFS" mount --files data="$T/mine" "$theirs"
check 'fills a buffer' as $other sh -c "head -c 100001 /dev/zero >'$theirs/heaps/memfd/a'"
check 'copies it directly' as $other cp "$theirs/heaps/memfd/a" "$theirs/files/data/a"
is 'and the file is his' "$(stat -c '%u %s' "$T/mine/a")" "$other 100001"
check 'root himself is not let in' refuses ls "$theirs/heaps"
for words in "status $theirs" "info $theirs/heaps/memfd/a" "hex $theirs/heaps/memfd/a" "cp $theirs/heaps/memfd/a $T/taken"; do
    read -ra words <<<"$words"
    run "$DMABUFFS" "${words[@]}"
    says "${words[0]} tells him whose mount it is" 1 "Permission denied; the mount at $theirs is for "
    says "${words[0]}: and the remedy" 1 'mounted with -o allow_root it lets root in'
done
check 'nor a third' refuses as $third ls "$theirs/heaps"
check 'he unmounts' as $other "$DMABUFFS" umount "$theirs"
check 'and it is gone' refuses is_mounted "$theirs"
