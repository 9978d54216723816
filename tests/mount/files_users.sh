#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# files/ for other users: each acts with his own rights, as on the host.
# timeout: 180
set -uo pipefail
if ((EUID)); then
    echo 'skip - only root can become another user'
    exit
fi

failed=0
check() { # NAME COMMAND...
    local name=$1
    shift
    if "$@"; then echo "ok - $name"; else echo "not ok - $name"; failed=1; fi
}
refuses() { ! "$@" 2>/dev/null; }
as() { setpriv --reuid 21001 --regid 21001 --clear-groups "$@"; }
in_team() { setpriv --reuid 21001 --regid 21001 --groups 22001 "$@"; }
within() { timeout "$@"; } # SECONDS COMMAND...

mnt=$T/mnt data=$T/data files=$T/mnt/files/data
mkdir "$mnt" "$data"
chmod 755 "$T" "$data"
"$DMABUFFS" mount -o allow_other --files data="$data" "$mnt" || exit 1
trap '"$DMABUFFS" umount "$mnt"' EXIT

install -m 640 -o root -g 22001 /dev/null "$data/team" && echo team >"$data/team"
install -m 600 /dev/null "$data/secret" && echo secret >"$data/secret"
install -d -m 1777 "$data/tmp"
install -d -m 700 "$data/closed" && echo x >"$data/closed/file"
install -d -m 2775 -g 22001 "$data/shared"

check 'a user reads by a supplementary group' in_team cat "$files/team"
check 'not without it' refuses as cat "$files/team"
check 'nor may he write by it' refuses in_team tee "$files/team"
check 'nor read what is only root'\''s' refuses as cat "$files/secret"
check 'root still does' cat "$files/secret"
check 'a closed directory stays closed' refuses as ls "$files/closed"
check 'and so do the files in it' refuses as cat "$files/closed/file"
cat "$files/closed/file" >/dev/null # the kernel knows the name now
check 'also once root has been there' refuses as cat "$files/closed/file"

# shellcheck disable=SC2016 # for the inner shell
as bash -c 'umask 077; echo mine >"$1/tmp/mine"; mkdir "$1/tmp/dir"; ln -s x "$1/tmp/link"' - "$files"
for made in mine dir link; do
    check "what a user makes is his: $made" test "$(stat -c %u:%g "$data/tmp/$made")" = 21001:21001
done
check 'with his umask' test "$(stat -c %a "$data/tmp/mine")" = 600
in_team touch "$files/shared/new"
check 'a setgid directory passes its group on' test "$(stat -c %g "$data/shared/new")" = 22001
check 'in a sticky directory nobody removes what is not his' refuses setpriv --reuid 21002 --clear-groups rm -f "$files/tmp/mine"
check 'he may not give his file away' refuses as chown 21002 "$files/tmp/mine"
check 'nor make device nodes' refuses as mknod "$files/tmp/null" c 1 3
check 'he may change its mode' as chmod 644 "$files/tmp/mine"

# Files and directories whose rights are more than their mode.
install -m 711 /bin/echo "$data/runs"
# setpriv itself still has root's capabilities when it executes.
# shellcheck disable=SC2016 # for the inner shell
run() { as bash -c '"$0" runs' "$1"; } # FILE
check 'what a user may execute but not read runs' test "$(run "$files/runs")" = runs
check 'and is not read' refuses as cat "$files/runs"
install -m 744 /bin/echo "$data/reads"
check 'what he may read but not execute does not run' refuses run "$files/reads"
install -d -m 1777 "$data/acl" "$data/plain"
setfacl -m d:u::rwx,d:g::rwx,d:o::r-x "$data/acl" || failed=1
for at in acl plain; do
    for in in "$data" "$files"; do
        # shellcheck disable=SC2016 # for the inner shell
        as bash -c 'umask 077; touch "$1/file-$2"; mkdir "$1/dir-$2"; mkfifo "$1/fifo-$2"' - "$in/$at" "$([[ $in = "$files" ]] && echo mount || echo host)"
    done
done
modes() { (cd "$data/$1" && stat -c %A "file-$2" "dir-$2" "fifo-$2"); } # DIRECTORY WHERE
check 'a default ACL of the host stands in for the umask' test "$(modes acl mount)" = "$(modes acl host)"
check 'which holds elsewhere' test "$(modes plain mount)" = "$(modes plain host)"
check 'the two differ' refuses test "$(modes acl mount)" = "$(modes plain mount)"
# shellcheck disable=SC2016 # for the inner shell
as bash -c 'umask 027; touch "$1/masked"; mkdir "$1/masked-dir"' - "$mnt/heaps/memfd"
check 'in a heap the umask holds' test "$(stat -c %a "$mnt/heaps/memfd/masked" "$mnt/heaps/memfd/masked-dir" | xargs)" = '640 750'
rm -r "$mnt/heaps/memfd/masked" "$mnt/heaps/memfd/masked-dir"

head -c 100000 /dev/urandom >"$data/random"
as cp "$files/random" "$mnt/heaps/memfd/buffer"
as cp "$mnt/heaps/memfd/buffer" "$files/tmp/back"
check 'he copies to a buffer and back' cmp "$data/random" "$data/tmp/back"
check 'not from what he may not read' refuses as cp "$files/secret" "$mnt/heaps/memfd/secret"
check 'not to where he may not write' refuses as cp "$mnt/heaps/memfd/buffer" "$files/new"

for writer in 'dd if=/dev/zero bs=10 count=1 conv=notrunc status=none of=' 'cp --no-preserve=all '"$files/random "; do
    install -m 6777 /bin/true "$data/tool"
    # shellcheck disable=SC2086 # words
    as $writer"$files/tool"
    check "writing takes setuid and setgid away: ${writer%% *}" test "$(stat -c %a "$data/tool")" = 777
done

# The daemon acts as him on his threads only: the next request of root is root's again.
for _ in {1..50}; do as cat "$files/secret" & cat "$files/secret" >>"$T/roots"; done 2>/dev/null
wait
check 'users at the same time do not get in each other'\''s way' test "$(wc -l <"$T/roots")" = 50

status() { sed -n "s/^$1:\t//p" "/proc/$(jq .pid "$mnt/status")/status"; }
check 'the daemon can'\''t pass quotas: it has no CAP_SYS_RESOURCE' test $((0x$(status CapPrm) >> 24 & 1)) = 0
check 'nor any of its threads' test "$(cat "/proc/$(jq .pid "$mnt/status")"/task/*/status | grep ^CapEff: | while read -r _ set; do echo $((0x$set >> 24 & 1)); done | sort -u)" = 0

# A FUSE mount below the directory that does not answer: another mount of this program, stopped.
mkdir "$data/foreign" "$T/plain"
"$DMABUFFS" mount -o allow_other "$data/foreign"
foreign=$(jq .pid "$data/foreign/status")
"$DMABUFFS" mount --files data="$data" "$T/plain"
check 'a FUSE mount below is entered where the daemon serves its owner only' test -r "$T/plain/files/data/foreign/status"
"$DMABUFFS" umount "$T/plain"
kill -STOP "$foreign"
check 'with allow_other it is not, and nothing waits for it' refuses within 5 ls "$files/foreign"
for _ in {1..20}; do within 5 ls "$files/foreign/x" >/dev/null 2>&1 & done
wait
check 'and the mount answers' within 5 cat "$files/team" "$mnt/status" >/dev/null
kill -CONT "$foreign"
"$DMABUFFS" umount "$data/foreign"

if ((EUID == 0)); then
    # fusermount3 wants a user with a name.
    nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups env -u XDG_RUNTIME_DIR)
    install -d -o 65534 -g 65534 "$T/theirs" "$T/theirs/mnt" "$T/theirs/data"
    "${nobody[@]}" "$DMABUFFS" mount -o allow_other --files "$T/theirs/data" "$T/theirs/mnt" 2>"$T/err"
    check 'an ordinary user may not show his directory to others' test $? = 1
    check 'and is told why' grep -q 'with your rights' "$T/err"
    if "${nobody[@]}" "$DMABUFFS" mount --files data="$T/theirs/data" --files all="$T" "$T/theirs/mnt"; then
        "${nobody[@]}" touch "$T/theirs/mnt/files/data/new"
        check 'for himself he may' test "$(stat -c %u "$T/theirs/data/new")" = 65534
        check 'with his own rights' refuses "${nobody[@]}" cat "$T/theirs/mnt/files/all/data/secret"
        check 'and no more in directories' refuses "${nobody[@]}" ls "$T/theirs/mnt/files/all/data/closed"
        check 'that he may write to he reaches' "${nobody[@]}" touch "$T/theirs/mnt/files/all/data/tmp/theirs"
        "${nobody[@]}" "$DMABUFFS" umount "$T/theirs/mnt"
    else
        echo 'not ok - an ordinary user mounts a directory of his'
        failed=1
    fi
fi
exit "$failed"
