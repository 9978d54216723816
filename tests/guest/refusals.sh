#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Real dma-bufs where there is no room, no memory or no right to them: what is refused, and what is told of it.
# vm: --memory 2048 --scratch 1G
# timeout: 200
source "$(dirname "$0")/common.bash"

make_disk
mib=$((1 << 20))
mount_it --files d="$disk"
# Limits and what they say.
echo 64 >$size_limit
truncate -s 100M "$disk/big"
run cp "$mnt/files/d/big" "$mnt/heaps/udmabuf/big"
says 'a file beyond the limit of a udmabuf: EFBIG' 1 'File too large'
check 'and status names the limit and the remedy' quiet \
    jq -e '.refused | any(.message | contains("size_limit_mb") and contains("64"))' "$mnt/status"
run "$DMABUFFS" cp "$disk/big" "$mnt/heaps/udmabuf/big"
says 'dmabuffs cp says it itself' 1 size_limit_mb
echo 128 >$size_limit
check 'with the limit raised it fits' cp "$mnt/files/d/big" "$mnt/heaps/udmabuf/big"
rm -f "$mnt"/heaps/*/*
for heap in udmabuf system memfd; do
    dir=$mnt/heaps/$heap
    echo 8192 >$size_limit
    run fallocate -l "$(awk '/^MemTotal/ { print $2 }' /proc/meminfo)K" "$dir/huge"
    check "$heap: more than the machine has is refused" grep -Eq 'No space|Cannot allocate' <<<"$out"
    check "$heap: and it goes on working" fallocate -l 100M "$dir/still"
    rm -f "$dir"/*
done
run dmesg
equals 'no process was killed for memory' "$(grep -ci 'out of memory\|oom-kill' <<<"$out")" 0
check 'unmount' unmount_it

mount_it --files d="$disk" -o size=32M
for heap in udmabuf system; do
    dir=$mnt/heaps/$heap
    run cp "$mnt/files/d/big" "$dir/big"
    says "$heap: cp of more than -o size= fails with ENOSPC" 1 'No space left'
    run dd if=/dev/zero of="$dir/written" bs=1M count=40
    says "$heap: so does writing it" 1 'No space left'
    equals "$heap: for which status blames no other heap" "$(jq -r '.refused[].message' "$mnt/status" | grep -c ^memfd)" 0
    check "$heap: what was written until then is there" between "$(stat -c %s "$dir/written")" $((16 * mib)) $((32 * mib))
    rm -f "$dir"/*
    equals "$heap: and when it is gone there is room again" "$(jq '.heaps | map(.bytes) | add' "$mnt/status")" 0
    check "$heap: for as much as the size" fallocate -l 32M "$dir/all"
    rm -f "$dir"/*
    [[ $heap == system ]] || continue
    run dd if=/dev/zero of="$dir/twice" bs=1M count=20
    says "$heap: a new file of more than half the size has no room for its dma-buf" 1 'No space left'
    check "$heap: status says what helps" grep -q "beside the 20.0 MiB that were written; set the file's size before writing" <<<"$(jq -r '.refused[].message' "$mnt/status")"
    rm "$dir/twice"
    check "$heap: namely its size" truncate -s 20M "$dir/once"
    check "$heap: before it is written" dd if=/dev/zero of="$dir/once" bs=1M count=20 conv=notrunc
    rm "$dir/once"
done
check 'unmount' unmount_it

# Rights: a mount gives nobody memory that the device node denies him.
chmod 600 /dev/dma_heap/system /dev/udmabuf
chmod 755 "$T"
mount_it -o allow_other
as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
for heap in system udmabuf; do
    run as_nobody sh -c 'echo x >"$1"' - "$mnt/heaps/$heap/mine"
    says "$heap: who may not open the node makes no buffer" 2 'Permission denied'
done
check 'unmount' unmount_it
chmod 755 "$T" && mkdir -p "$T/his" && chown 65534:65534 "$T/his"
run as_nobody "$DMABUFFS" mount "$T/his"
equals 'an ordinary user has a mount of his own' "$status" 0
run as_nobody sh -c 'echo x >"$1"' - "$T/his/heaps/system/mine"
says 'in which a heap whose node he may not open gives him nothing' 2 'Permission denied'
check 'unmount his' as_nobody "$DMABUFFS" umount "$T/his"
exit $failed
