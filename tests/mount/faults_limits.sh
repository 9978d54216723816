#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Limits of the process that mounts: the mount fails with a message, or lives with them.
source "$(dirname "$0")/lib.sh"
(
    ulimit -f 1024 # of 1 KiB
    mount_it -o no_passthrough # where the writer's own limit would hold
)
run dd if=/dev/zero of="$heap/big" bs=1M count=4
says 'what is longer than the daemon may write is refused' 1 'File too large'
check 'and the daemon lives' test -r "$mnt/status"
run dd if=/dev/zero of="$files/big" bs=1M count=4
says 'also in files/' 1 'File too large'
random 4M >"$data/long"
check 'also a copy' refuses cp "$files/long" "$heap/copied"
check 'and the daemon lives still' test -r "$mnt/status"
"$DMABUFFS" umount "$mnt"
(
    ulimit -S -f 1024
    mount_it
)
check 'a soft limit is not the daemon'\''s' dd if=/dev/zero of="$files/big" bs=1M count=4 status=none
"$DMABUFFS" umount "$mnt"

if ((EUID)); then
    echo 'skip - only root can become a user without other processes'
else
    chmod 755 "$T"
    install -d -o 21077 -g 21077 "$T/theirs"
    # The one process he may have is the command itself.
    # shellcheck disable=SC2016  # for the inner shell
    run within 20 setpriv --reuid 21077 --regid 21077 --clear-groups bash -c 'ulimit -u 1; exec "$@"' - \
        "$DMABUFFS" mount "$T/theirs"
    says 'without a background process there is no mount, and the reason' 1 'no background process'
    check 'nor is the shell left waiting for it' refuses is_mounted "$T/theirs"
fi

if ((EUID == 0)); then
    as() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
    install -d -o 65534 "$T/nobodys"
    as "$DMABUFFS" mount "$T/nobodys"
    as touch "$T/nobodys/heaps/memfd/a"
    as prlimit --pid "$(as jq .pid "$T/nobodys/status")" --nproc=1
    run as "$DMABUFFS" info "$T/nobodys/heaps/memfd/a"
    says 'who gets no thread of the daemon is told just that' 1 'no thread for another client: Resource temporarily unavailable'
    as "$DMABUFFS" umount "$T/nobodys"
fi

(
    ulimit -n 40
    mount_it
)
# Until the daemon has no descriptor left.
for i in {1..60}; do echo x >"$heap/$i" || break; done 2>/dev/null
check 'a file that can not be is not there' refuses test -e "$heap/$i"
run cp "$outside/none-such" "$heap/none" # the shell's own files are no matter
run sh -c "echo x >'$heap/more'"
check 'without descriptors the reason is that' grep -q 'Too many open files' <<<"$out"
run within 20 "$DMABUFFS" info "$heap/1"
check 'who asks the daemon is told, and does not wait' test "$status" = 1
check 'with the remedy' grep -q 'no file descriptor left\|Too many open files' <<<"$out"
rm "$heap"/{1..20}
check 'with some closed it is as before' "$DMABUFFS" info "$heap/21"
