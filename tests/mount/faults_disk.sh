#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A destination disk that is full: the error, the bytes there was room for, and nothing after them.
source "$(dirname "$0")/lib.sh"
disk=$T/disk
mkdir "$disk"
truncate -s 32M "$T/image"
if ((EUID != 0)) || ! mkfs.ext4 -q -F "$T/image" || ! mount -o loop "$T/image" "$disk" 2>/dev/null; then
    echo 'skip - a file can not be mounted here'
    exit 77
fi
trap 'is_mounted "$mnt" && "$DMABUFFS" umount "$mnt"; umount "$disk"; finish' EXIT
mount_it --files disk="$disk"
random 50000000 >"$heap/buffer"
for tool in cp "$DMABUFFS cp"; do
    # shellcheck disable=SC2086 # one word or two
    run within 60 $tool "$heap/buffer" "$mnt/files/disk/copy"
    says "${tool##*/} to a full disk fails" 1 'No space left'
    length=$(size_of "$disk/copy")
    check 'some of it was stored' test "$length" -gt 1000000
    check 'and not more than there was room for' test "$length" -lt 33000000
    check 'all that the length says is right' cmp -n "$length" "$disk/copy" "$heap/buffer"
    rm "$disk/copy"
done
# A plain write is refused where it happens, not at the close, which most programs don't look at.
run within 60 dd if="$heap/buffer" of="$mnt/files/disk/copy" bs=1M status=none
says 'dd to a full disk fails' 1 'No space left'
check "at the write: $out" grep -q 'error writing' <<<"$out"
check 'not at the close' refuses grep -q 'closing' <<<"$out"
length=$(size_of "$disk/copy")
check 'some of it was written' test "$length" -gt 1000000
check 'and is right' cmp -n "$length" "$disk/copy" "$heap/buffer"
rm "$disk/copy"
head -c 5000001 "$heap/buffer" >"$outside/part" && cp "$outside/part" "$heap/part"
# What the host removed has its room back when no request came for some seconds.
room() { df --output=avail -B1 "$disk" | tail -n 1; }
for _ in {1..150}; do [[ $(room) -lt 20000000 ]] || break; sleep 0.1; done
check 'with room again it works' cp "$heap/part" "$mnt/files/disk/copy"
same 'to the last byte' "$outside/part" "$disk/copy"
