#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The example of docs/kernel.md is a program: it compiles without a warning, and says what is missing or does what it is
# for (tests/guest/kernel_mount.sh runs this on a disk with the module loaded).
set -u
cd "$(dirname "$0")/../.." || exit
sed -n '/^```c$/,/^```$/{/^```/!p}' docs/kernel.md >"$T/example.c"
if ${CC:-cc} -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-missing-field-initializers -I kernel -o "$T/example" "$T/example.c"; then
    echo 'ok - the example compiles'
else
    echo 'not ok - the example compiles'
    exit 1
fi
head -c 12345 /dev/urandom >"$T/file"
said=$("$T/example" "$T/file" 2>&1)
status=$?
wanted='12345 bytes in dma-buf'
[[ $(stat -f -c %T "$T") != tmpfs ]] || wanted='transfer: Operation not supported' # no direct I/O there
[[ -e /dev/dmabuf_file ]] || wanted='/dev/dmabuf_file: No such file'
if [[ $said == *"$wanted"* ]]; then echo 'ok - it does what it says'; else
    echo 'not ok - it does what it says'
    echo "# exit $status: $said"
fi
