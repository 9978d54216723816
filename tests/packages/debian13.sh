#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The packages for Debian 13, built in its tree.
# timeout: 3600
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
test_packages trixie debian13 tests/vm/chroot
