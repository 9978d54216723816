#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The packages for Debian 12, built on this machine.
# timeout: 3600
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
if ! grep -qx 'VERSION_CODENAME=bookworm' /etc/os-release; then
    echo 'skip - this machine is no Debian 12, on which those packages are built'
    exit 77
fi
test_packages bookworm release
