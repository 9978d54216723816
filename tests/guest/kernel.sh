#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The kernel module, by its own tests, on ext4 with direct I/O.
# vm: --memory 2048 --scratch 1G --scratch 64M
# timeout: 300
source "$(dirname "$0")/common.bash"
make_disk
echo 2048 >$size_limit
check 'huge pages for the test' huge_pages 40
load_module
equals 'it is of the version of the program' "dmabuffs $(</sys/module/dmabuf_file/version)" "$("$DMABUFFS" --version | head -n 1)"
T=$disk DMABUFFS_TEST_DISK=/dev/vdb check 'its tests pass' "$tools/kernel-tests"
T=$disk DMABUFFS_REAL=1 check 'buffers that clients write to past the program' "$tools/unit-tests" '[file-led]'
check 'the module can be removed: nothing uses it' rmmod dmabuf_file
exit $failed
