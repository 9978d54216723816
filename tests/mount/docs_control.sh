#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The example of docs/control-socket.md is a program that does what it says.
source "$(dirname "$0")/cp_common.bash"
mount_it
head -c 1000000 /dev/urandom >"$outside/model.bin"
sed -n '/^    import fcntl/,$s/^    //p' "$(dirname "$0")/../../docs/control-socket.md" |
    sed "s#/run/buf/heaps/system#$heap#; s#/run/buf#$mnt#; s#/data/#$outside/#" >"$T/example.py"
run python3 "$T/example.py"
says 'it copies' 0 "'bytes': 1000000"
check 'every byte' cmp "$outside/model.bin" "$heap/model"
ended=1
