#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# FUSE passthrough: where it must be used, where it must not, and what it makes possible. Needs libfuse 3.17, root and
# a kernel that offers it. tests/guest/passthrough.sh runs this where all of that is there.
source "$(dirname "$0")/lib.sh"
opens() { jq .passthrough.opens "$mnt/status"; }
tests() { "$DMABUFFS_BUILD/tests/mount-tests" --reporter compact "$1"; }
not_here() { # REASON: no excuse where the real devices are, if passthrough is built in
    if [[ ${DMABUFFS_REAL-} == 1 ]]; then
        miss "passthrough is there ($1)"
        exit 1
    fi
    echo "skip - $1"
    exit 77
}

mount_it
random 1000001 >"$outside/bytes"
version=$(jq -r .version.libfuse "$mnt/status")
if [[ $(printf '%s\n' 3.17 "$version" | sort -V | head -n 1) != 3.17 ]]; then
    # Then it must not be pretended either.
    cp "$outside/bytes" "$heap/buffer"
    is "libfuse $version has no passthrough, and none is counted" "$(opens)" 0
    same 'reads and writes go through the daemon' "$outside/bytes" "$heap/buffer"
    [[ ${DMABUFFS_REAL-} == 1 ]] || { echo "skip - libfuse $version is older than 3.17"; exit 77; }
    exit
fi
((EUID == 0)) || not_here 'passthrough needs root'

cp "$outside/bytes" "$heap/buffer"
if (($(opens) == 0)); then
    # The kernel's part is needed too; a stock Debian kernel has it.
    grep -qs '^CONFIG_FUSE_PASSTHROUGH=y' "/boot/config-$(uname -r)" || not_here 'the kernel offers no passthrough'
fi
check "a copy from outside goes past the daemon ($(opens) opens)" test "$(opens)" -gt 0
is 'which served no write of it' "$(jq .through_daemon.written_bytes "$mnt/status")" 0
same 'it is right' "$outside/bytes" "$heap/buffer"
# It serves `status` itself.
check 'the daemon served no read of it either' test "$(jq .through_daemon.read_bytes "$mnt/status")" -lt 500000
is 'status says that it is on' "$(jq -r .passthrough.state "$mnt/status")" on
is 'its bytes are not counted, and status says so' "$(jq -r .passthrough.bytes "$mnt/status")" 'not counted'
printf 'more' >>"$heap/buffer"
cp "$outside/bytes" "$outside/model" && printf 'more' >>"$outside/model"
same 'append' "$outside/model" "$heap/buffer"
cp "$heap/buffer" "$files/out"
same 'a direct copy has what was written past the daemon' "$outside/model" "$data/out"
# files/ in a mount that is not private: the rights of who asks count with each open and write.
before=$(opens)
cat "$files/out" >/dev/null && echo new >"$files/new" && cat "$files/new" >/dev/null
is 'files/ has none in a mount of this kind' "$(opens)" "$before"
"$DMABUFFS" umount "$mnt"

mount_it -o allow_other
cat "$files/out" >/dev/null && echo new >"$files/new"
is 'files/ has none with allow_other' "$(opens)" 0
cp "$outside/bytes" "$heap/buffer"
check 'but buffers have' test "$(opens)" -gt 0
if on_memfd; then
    chmod 755 "$T"
    before=$(jq .through_daemon.written_bytes "$mnt/status")
    setpriv --reuid=21001 --regid=21001 --clear-groups sh -c "cat >'$heap/others'" <"$outside/bytes"
    check "another user's writes come to the daemon" test $(($(jq .through_daemon.written_bytes "$mnt/status") - before)) -ge 1000001
    same 'and are right' "$outside/bytes" "$heap/others"
fi
"$DMABUFFS" umount "$mnt"

if on_memfd; then
    mount_it
    cp "$outside/bytes" "$heap/buffer"
    exec 5<>"$heap/buffer"
    run "$DMABUFFS" exec "$heap/buffer" -- true
    says 'what others have open past the daemon is not handed out' 1 'open elsewhere'
    exec 5>&-
    check 'once it is closed it is' "$DMABUFFS" exec "$heap/buffer" -- true
    exec 5<>"$heap/buffer"
    check 'and again, open or not: then nobody passes the daemon' "$DMABUFFS" exec "$heap/buffer" -- true
    printf 'more' >>"$heap/buffer"
    exec 5>&-
    same 'what is appended to it is seen' "$outside/model" "$heap/buffer"
    "$DMABUFFS" umount "$mnt"
fi

mount_it -o no_passthrough
cp "$outside/bytes" "$heap/buffer" && cat "$heap/buffer" >/dev/null
is 'with -o no_passthrough there is none' "$(opens)" 0
is 'and status says that it is off' "$(jq -r .passthrough.state "$mnt/status")" off
"$DMABUFFS" umount "$mnt"
check 'and MAP_SHARED fails with ENODEV' tests 'without passthrough MAP_SHARED of a buffer fails with ENODEV*'

# What only a program can try, each by itself: a failure has a name.
for name in 'with passthrough a shared mapping is*' 'with passthrough a direct copy and a mapping*' \
    'with passthrough several opens*' 'with passthrough a removed buffer*' 'with -o size= a writer*'; do
    check "${name%\*}..." tests "$name"
done

# In a private mount the one user is the daemon's own.
cp "$outside/bytes" "$data/in"
# shellcheck disable=SC2016 # the dollars are the command's
run "$DMABUFFS" exec --files "d=$data" -- bash -c '
    cmp "$DMABUFFS_MOUNT/files/d/in" "$1" && cp "$1" "$DMABUFFS_MOUNT/files/d/written" &&
        jq -r "\"\(.passthrough.opens > 1) \(.through_daemon.read_bytes) \(.through_daemon.written_bytes)\"" "$DMABUFFS_MOUNT/status"' \
    - "$outside/bytes"
is 'dmabuffs exec as root: files/ has passthrough, nothing goes through the daemon' "$out" 'true 0 0'
same 'and what was written is there' "$outside/bytes" "$data/written"
