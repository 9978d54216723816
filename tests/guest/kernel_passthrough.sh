#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Passthrough to dma-bufs, which the kernel module makes regular files of: mappings are the dma-buf, readers go past
# the daemon, and all else is as it is without. Needs libfuse 3.17.
# guest: debian13
# vm: --memory 3072 --scratch 2G
# timeout: 400
source "$(dirname "$0")/common.bash"
make_disk
echo 2048 >$size_limit 2>/dev/null
load_module
before=$(dmabufs)

check 'the programs: mmap, growing, replacing, copies' env TMPDIR="$disk" "$tools/mount-tests" '[dmabuf-passthrough]'
# The dma-buf itself holds what was written through the mapping (the mount could show something else).
mount_it
head -c 300000 /dev/urandom >"$T/bytes"
for heap in system udmabuf direct; do
    cp "$T/bytes" "$mnt/heaps/$heap/x"
    check "$heap: the dma-buf holds what cp wrote" peek "$mnt/heaps/$heap/x" --same-as "$T/bytes"
    check "$heap: cat" cmp "$T/bytes" "$mnt/heaps/$heap/x"
    printf 'tail' >>"$mnt/heaps/$heap/x"
    check "$heap: and appended" test "$(tail -c 8 "$mnt/heaps/$heap/x")" = "$(tail -c 4 "$T/bytes")tail"
done
# Beyond what the mount may hold: at once, and nothing is kept.
for heap in system direct; do
    run dd if=/dev/zero of="$mnt/heaps/$heap/huge" bs=1 count=1 seek=100G status=none
    says "$heap: more than the mount may hold" 1 'No space left on device'
    equals "$heap: of which nothing is kept" "$(stat -c %s "$mnt/heaps/$heap/huge")" 0
done
check 'unmount' unmount_it
check 'random copies in all directions' env TMPDIR="$disk" "$tools/mount-tests" '[model]'
# The heaps have one code; what differs between them is in the programs above.
suite=$(realpath "$(dirname "$0")/../mount")
for test in semantics_{sizes,truncate,write} tools_text; do
    work=$disk/$test
    mkdir -m 700 "$work"
    run env TEST_HEAP=system T="$work" timeout --kill-after=10 120 "$suite/$test.sh"
    equals "system: $test" "$status: $(grep '^not ok' <<<"$out")" '0: '
    rm -rf --one-file-system "$work"
done
equals 'no dma-buf is left' "$(dmabufs)" "$before"
check 'the module goes' rmmod dmabuf_file
exit $failed
