#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# dmabuffs cp by another user than the mount's owner.
source "$(dirname "$0")/cp_common.bash"
if ((EUID)); then
    trap - EXIT
    echo 'skip - only root can become another user'
    exit
fi
chmod 755 "$T"
mount_it -o allow_other
as() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
mkdir "$T/theirs" && chown 65534:65534 "$T/theirs"
head -c 1000000 /dev/urandom >"$T/theirs/a"
chown 65534:65534 "$T/theirs/a" && chmod 600 "$T/theirs/a"
head -c 1000000 /dev/urandom >"$outside/secret" && chmod 600 "$outside/secret"

as mkdir "$heap/theirs"
as "$DMABUFFS" cp "$T/theirs/a" "$heap/theirs/a"
check 'another user copies his file into a buffer' cmp "$T/theirs/a" "$heap/theirs/a"
check 'which is his' test "$(stat -c %u "$heap/theirs/a")" = 65534
as "$DMABUFFS" cp "$heap/theirs/a" "$T/theirs/back"
check 'and back' cmp "$T/theirs/a" "$T/theirs/back"
run as "$DMABUFFS" cp "$outside/secret" "$heap/theirs/s"
says 'a file he may not read is not copied for him' 1 'Permission denied'

"$DMABUFFS" cp "$outside/secret" "$heap/secret" && chmod 600 "$heap/secret"
run as "$DMABUFFS" cp "$heap/secret" "$T/theirs/s"
says 'nor a buffer he may not read' 1 'Permission denied'
run as "$DMABUFFS" cp "$T/theirs/a" "$heap/secret"
says 'nor into a buffer he may not write' 1 'Permission denied'
check 'which keeps its bytes' cmp "$outside/secret" "$heap/secret"
run as "$DMABUFFS" cp "$T/theirs/a" "$mnt/files/data/new"
says 'nor into a directory of files/ that is not his' 1 'Permission denied'
check 'status lists his buffers to him' quiet jq -e '.buffers | map(.path) == ["heaps/memfd/theirs/a"]' <(as cat "$mnt/status")
check 'and hides what names the files of others' quiet jq -e '.refused == [] and .reasons == []' <(as cat "$mnt/status")
check 'root sees all buffers' quiet jq -e '.buffers | length == 2' "$mnt/status"
run as "$DMABUFFS" info --json "$heap/theirs/a"
check 'info works for another user' quiet jq -e '.[0].owner.uid == 65534' <<<"$out"

for tool in "$T/theirs/tool" "$mnt/files/data/tool"; do
    install -m 6777 /dev/null "$tool" # empty, for truncating it would take them, too
    as "$DMABUFFS" cp "$heap/theirs/a" "$tool"
    check "writing by the daemon takes setuid and setgid away: ${tool#"$T"/}" test "$(stat -c %a "$tool")" = 777
done
as install -m 4755 "$T/theirs/a" "$T/theirs/setuid"
chown 65533 "$T/theirs/setuid" && chmod 4755 "$T/theirs/setuid"
as "$DMABUFFS" cp -p "$T/theirs/setuid" "$T/theirs/kept" && as "$DMABUFFS" cp -p "$T/theirs/setuid" "$heap/theirs/kept"
check 'cp -p of another'\''s setuid file makes none of his own' \
    test "$(stat -c '%u %a' "$T/theirs/kept" "$heap/theirs/kept" | xargs)" = '65534 755 65534 755'

install -d -m 0 -o 65534 "$T/theirs/closed" && install -d -m 577 -o 65534 "$T/theirs/halfway"
run as "$DMABUFFS" cp -r "$T/theirs/closed" "$T/theirs/halfway" "$heap/theirs"
says 'a directory that he may not read is an error' 1 'closed: Permission denied'
is_mode() { [[ $(stat -c %a "$1") == "$(printf %o "$2")" ]]; }
check 'its copy has its mode all the same' is_mode "$heap/theirs/closed" 0
check 'less the umask' is_mode "$heap/theirs/halfway" $((0577 & ~$(umask)))

# What open(2) would not let through, the socket does not either.
bare() { setpriv --inh-caps=-all --bounding-set=-all "$@"; }
install -m 600 -o 65534 -g 65534 "$T/theirs/a" "$heap/private"
run bare "$DMABUFFS" cp "$outside/secret" "$heap/private"
says 'uid 0 without capabilities writes into nobody'\''s buffer' 1 'Permission denied'
run bare "$DMABUFFS" cp "$heap/private" "$T/stolen"
says 'nor reads it' 1 'Permission denied'
run bare "$DMABUFFS" info "$heap/private"
says 'nor asks about it' 1 'Permission denied'
check 'the buffer keeps its bytes' cmp "$T/theirs/a" "$heap/private"
mkdir "$T/ro"
if mount --bind "$mnt" "$T/ro" && mount -o remount,bind,ro "$T/ro"; then
    run "$DMABUFFS" cp "$outside/secret" "$T/ro/heaps/memfd/private"
    says 'nothing is written by a read-only bind mount' 1 'Read-only file system'
    check 'the buffer keeps its bytes' cmp "$T/theirs/a" "$heap/private"
    run "$DMABUFFS" cp "$T/ro/heaps/memfd/private" "$T/by-ro"
    check 'but read' cmp "$T/theirs/a" "$T/by-ro"
    umount "$T/ro"
fi

# dmabuffs cp works wherever cp does, and says why it read and wrote.
as mkdir "$T/theirs/own"
as "$DMABUFFS" mount "$T/theirs/own"
as cp "$T/theirs/a" "$T/theirs/own/heaps/memfd/a"
echo longer than nothing >"$heap/theirs/by-fuse"
chown 65534:65534 "$heap/theirs/by-fuse"
run as "$DMABUFFS" cp -v "$T/theirs/own/heaps/memfd/a" "$heap/theirs/by-fuse"
says 'a file of the user'\''s own FUSE mount is read, and why' 0 "read and written: $T/theirs/own/heaps/memfd/a: on a FUSE file system"
says 'which is no copy from file to file' 0 'by-fuse (buffered)'
check 'with every byte' cmp "$T/theirs/a" "$heap/theirs/by-fuse"
as cp "$T/theirs/a" "$T/theirs/own/heaps/memfd/b"
is 'one reason for many files' "$(as "$DMABUFFS" cp --json "$T/theirs/own/heaps/memfd/a" "$T/theirs/own/heaps/memfd/b" "$heap/theirs/" | jq '.reasons | length')" 1
run as "$DMABUFFS" cp -v "$heap/theirs/a" "$T/theirs/own/heaps/memfd/a"
says 'or written' 0 'on a FUSE file system'
as "$DMABUFFS" umount "$T/theirs/own"
chmod 666 "$heap/private"
if as unshare -Ur true 2>/dev/null; then # not in a chroot
    run unshare -U "$DMABUFFS" cp -v "$heap/private" "$outside/by-nobody"
    says 'in a user namespace the daemon copies, too' 0 'private -> '
    check 'and nothing is read and written by the client' refuses grep -qF 'read and written: ' <<<"$out"
    check 'with every byte' cmp "$T/theirs/a" "$outside/by-nobody"
    run as unshare -Ur "$DMABUFFS" cp --json "$heap/private" "$T/theirs/ns"
    check 'also where he is root' cmp "$T/theirs/a" "$T/theirs/ns"
else
    echo 'skip - no user namespaces here'
fi
own=$T/theirs/own
as mkdir "$own"
if as env -u XDG_RUNTIME_DIR "$DMABUFFS" mount "$own"; then
    as cp "$T/theirs/a" "$own/heaps/memfd/a"
    run as env -u XDG_RUNTIME_DIR "$DMABUFFS" cp --json "$own/heaps/memfd/a" "$heap/theirs/from-own"
    check 'from his own mount to root'\''s' cmp "$T/theirs/a" "$heap/theirs/from-own"
    check 'which says why it was read and written' quiet jq -e '.reasons | length > 0' <<<"$out"
    run as env -u XDG_RUNTIME_DIR "$DMABUFFS" cp "$heap/theirs/a" "$own/heaps/memfd/back"
    check 'and back' as cmp "$T/theirs/a" "$own/heaps/memfd/back"
    run as env -u XDG_RUNTIME_DIR "$DMABUFFS" cp "$heap/private" "$own/heaps/memfd/back"
    check 'also over a file that is there' as cmp "$T/theirs/a" "$own/heaps/memfd/back"
    as env -u XDG_RUNTIME_DIR "$DMABUFFS" umount "$own"
else
    echo 'not ok - an ordinary user mounts'
    failed=1
fi

# A FUSE file system the daemon does not know to be harmless: another mount of this program.
mkdir "$T/second"
"$DMABUFFS" mount -o allow_other "$T/second"
trap '"$DMABUFFS" umount "$T/second"; finish' EXIT
install -m 644 "$T/theirs/a" "$T/second/heaps/memfd/a"
run as "$DMABUFFS" cp --json "$T/second/heaps/memfd/a" "$heap/theirs/from-fuse"
check 'from FUSE, another user'\''s copy is read and written' test "$status" = 0
check 'with the right bytes' cmp "$T/theirs/a" "$heap/theirs/from-fuse"
check 'and the reason is told' quiet jq -e '[.reasons[].why | contains("FUSE")] | any' <<<"$out"
run as "$DMABUFFS" cp --require-direct "$T/second/heaps/memfd/a" "$heap/theirs/direct"
says 'and refused where direct is required' 1 'FUSE'
check 'without an empty file' test ! -e "$heap/theirs/direct"
ended=1
