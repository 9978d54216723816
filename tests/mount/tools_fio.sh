#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# fio writes at random places from several threads and verifies what it reads.
# timeout: 180
source "$(dirname "$0")/lib.sh"
command -v fio >/dev/null || { echo 'skip - fio is not here'; exit 77; }
mount_it
job() { # NAME OPTION...
    local name=$1
    shift
    run fio --name=job --directory="$heap" --size=4m --verify=crc32c --verify_state_save=0 --verify_fatal=1 --do_verify=1 --randrepeat=0 \
        --output-format=terse "$@"
    says "fio $name" 0 ''
    rm -f "$heap"/job*
}
job 'random writes of 4 KiB' --rw=randwrite --bs=4k --ioengine=psync
job 'random writes of odd sizes' --rw=randwrite --bsrange=700-70000 --blockalign=700 --ioengine=psync
job 'sequential writes of 1 MiB by O_DIRECT' --rw=write --bs=1m --direct=1 --ioengine=psync
job 'four writers, each with a file, asynchronously' --rw=randwrite --bs=16k --numjobs=4 --thread --ioengine=libaio --iodepth=8 --direct=1
job 'reads and writes mixed' --rw=randrw --bs=8k --ioengine=psync
job 'over a file made by fallocate' --rw=randwrite --bs=4k --fallocate=posix --ioengine=psync
