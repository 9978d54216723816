#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What `dmabuffs bench` does not measure: a program between two others, many files, and what is all in memory.
#
#   tests/bench/load.sh [PART]...      RUNS=5 by default
#
#   many   32 files of 32 MiB by one `cp`, against one of 1 GiB, in a guest with real dma-bufs
#   opened buffers that the module makes regular files of, against tmpfs, in the Debian 13 guest (needs
#          build/debian13 and `tests/vm/chroot tests/vm/module`)
#   host   the memfd heap on this machine: 32 files against one, and against tmpfs
#   first  the memfd heap on this machine, from and to disk against fio, with and without huge pages (root)
#   small  2000 files of 64 KiB (FILES=10000: as many) on this machine (root)
#   flat   what a buffer costs beside 100 to 18,000 others on this machine (COUNTS='100 1000': beside so many);
#          flat_guest: up to 100,000, in a guest
#   at_once  four files of 256 MiB beside each other on this machine, and one after the other
#   passthrough  what host measures in a Debian 13 tree, whose libfuse has it (needs a build in build/debian13)
#
# Runs of what is compared take turns, and medians are compared. "cp" is the whole process from fork to its end. Of the
# caches, only the file's pages are dropped before each load. A guest is emulated where there is no KVM: its ratios mean
# something, its milliseconds little.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export RUNS=${RUNS:-5} DMABUFFS=${DMABUFFS:-$root/build/release/dmabuffs} BENCH=$root/build/bench
here=$root/tests/bench
(($#)) || set -- many host passthrough
[[ -x $DMABUFFS ]] || { echo "no $DMABUFFS: build first" >&2; exit 2; }

mkdir -p "$BENCH"
"${CXX:-c++}" -O2 -std=c++20 -o "$BENCH/stopwatch" "$here/stopwatch.cpp"
work=$(mktemp -d "$BENCH/work.XXXXXX")
trap 'rm -rf "$work"' EXIT

# A disk image with random files, made here: in an emulated guest it would take minutes.
make_image() { # IMAGE SIZE, from $work/files
    mkfs.ext4 -q -F -d "$work/files" "$1" "$2"
    rm -r "$work/files"
}
in_guest() { # MEMORY IMAGE SCRIPT [OPTION OF tests/vm/run]...
    "$root/tests/vm/run" --memory "$1" --disk "$2" --timeout 1200 "${@:4}" -- env RUNS="$RUNS" COUNTS="${COUNTS-}" \
        DMABUFFS="$DMABUFFS" BENCH="$BENCH" WORK=/tmp MODULES="$root/build/kernel" "$3"
}
printf 'machine: %s, %s, %s MiB, kernel %s, load %s\n' "$(nproc) x $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)" \
    "$(findmnt -no FSTYPE -T "$work")" "$(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo)" "$(uname -r)" \
    "$(cut -d' ' -f1 /proc/loadavg)"
for part; do
    case $part in
    many)
        mkdir "$work/files"
        head -c 1G /dev/urandom >"$work/files/one"
        for i in {1..32}; do head -c 32M /dev/urandom >"$work/files/f$i"; done
        make_image "$work/many" 2400M
        in_guest 8192 "$work/many" "$here/load_many.sh" ;;
    opened)
        truncate -s 1M "$work/none"
        (export DMABUFFS=$root/build/debian13/dmabuffs &&
            in_guest 3072 "$work/none" "$here/load_opened.sh" --guest debian13) ;;
    flat_guest)
        truncate -s 1M "$work/none"
        in_guest 4096 "$work/none" "$here/load_flat.sh" ;;
    host | first | small | flat | at_once) (export WORK=$work && "$here/load_$part.sh") ;;
    passthrough)
        "$root/tests/vm/chroot" env WORK="$work" RUNS="$RUNS" DMABUFFS="$root/build/debian13/dmabuffs" BENCH="$BENCH" \
            OUTSIDE_AIM=1.15 CAT_AIM=1.15 "$here/load_host.sh" ;;
    *) echo "no part $part" >&2; exit 2 ;;
    esac
    rm -f "$work/many" "$work/none"
done
