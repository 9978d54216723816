#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The shell tests of tests/mount that use the heap memfd there, on the heaps of real dma-bufs.
# guest: debian12 (the heaps are those of 6.12, the long way; Debian 13 runs the same suite in its chroot)
# vm: --memory 3072 --scratch 3G --timeout 1900
# timeout: 900
source "$(dirname "$0")/common.bash"

make_disk # their work directories, so that there is direct I/O
echo 2048 >$size_limit
suite=$(realpath "$(dirname "$0")/../mount")
for heap in udmabuf system; do
    for test in "$suite"/{semantics_{sizes,truncate,write,names},tools_{text,archive,fio},faults_{disk,busy,signals},api_{json,control}}.sh; do
        name="$heap: $(basename "$test" .sh)"
        work=$disk/$heap-$(basename "$test" .sh)
        mkdir -m 700 "$work"
        started=$SECONDS
        TEST_HEAP=$heap T=$work timeout --kill-after=10 300 "$test" </dev/null 2>&1 |
            while IFS= read -r line; do
                case $line in
                'ok - '*) echo "ok - $name: ${line#ok - }" ;;
                'not ok - '*) echo "not ok - $name: ${line#not ok - }" ;;
                *[Ss]kip*) echo "# $line" ;;
                *) echo "$line" ;;
                esac
            done
        status=${PIPESTATUS[0]}
        echo "# $name took $((SECONDS - started)) s"
        case $status in
        0) echo "ok - $name" ;;
        *) echo "not ok - $name ended with $status"; failed=1 ;;
        esac
        rm -rf --one-file-system "$work"
    done
done
# The model test once more, where there is direct I/O (the guest's own file system is memory).
check 'random copies in all directions, with a disk' env TMPDIR="$disk" "$tools/mount-tests" '[model]'
# Elsewhere run-tests takes away what is left below $T.
equals 'no mount is left' "$(grep -c -F "$disk/" /proc/self/mountinfo)" 0
exit $failed
