#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# tests/mount/passthrough.sh as root, on a stock kernel, and with host files on a disk: the guest's own file system is
# an overlay, which is not stacked further.
# vm: --scratch 1G
# timeout: 200
source "$(dirname "$0")/common.bash"

make_disk
mkdir -m 700 "$disk/work"
chmod 711 "$T" # the way there, for other users
T=$disk/work TMPDIR=$disk "$(realpath "$(dirname "$0")/../mount")/passthrough.sh"
