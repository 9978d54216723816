#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `dmabuffs bench` with the memfd heap and a small file: what it checks, and that it leaves nothing behind. With dma-bufs:
# tests/guest/bench.sh.
# timeout: 300
source "$(dirname "$0")/lib.sh"
bench() { "$DMABUFFS" bench "$@"; }
shown() { jq -r "$1" "$T/json"; }
# A user namespace of one's own can't be had everywhere; direct I/O neither.
private=$("$DMABUFFS" exec -- true 2>/dev/null && echo yes)
# What a tmpfs holds is all in the page cache, and can't be dropped.
direct=$([[ $(stat -f -c %T "$T") != tmpfs ]] && dd if=/dev/zero of="$T/probe" bs=4096 count=1 oflag=direct status=none 2>/dev/null && echo yes)
mkdir "$T/work" && cd "$T/work" || exit

run bench
says 'without FILE' 2 'FILE is required'
run bench --list --chunks 32x32M
says 'what is cut into chunks is a FILE' 2 'FILE is required'
run bench --list
says 'a list needs none' 0 'ours-memfd-first'
run bench x
says 'a file that is not there: how to make it' 1 'x: No such file or directory; --create SIZE makes it'
bench --create 2M --heap memfd --write --runs 2 --svg chart.svg --json x >"$T/json" 2>"$T/err"
is 'a small file, both ways: no row fails' "$? $(shown '[.rows[] | select(.error)] | length')" '0 0'
is 'FILE was made' "$(size_of x)" $((2 << 20))
is 'a changed byte was noticed, both ways' "$(shown '.controls | "\(.read) \(.write)"')" 'true true'
is 'nothing but FILE and the chart is left' "$(find . -type f | sort | xargs)" './chart.svg ./x'
check 'the chart is one' grep -q '</svg>' chart.svg
is 'each row of ours ran as often as asked' "$(shown '[.rows[] | select(.name | startswith("ours-memfd")) | .runs | length] | unique | tostring')" '[2]'
is 'their bytes were looked at' "$(shown '[.rows[] | select(.name | startswith("ours-")) | .checked] | all')" true
is 'what has no device here is named with the reason' \
    "$(shown '[.not_here[], .rows[]] | map(select(.name == "dmabuf-buffer-read")) | length')" 1
check 'where it was measured' jq -e '.environment | .kernel and .cpu and .device and .versions and .machine' "$T/json" >/dev/null
uring=$(python3 -c 'import ctypes; print("not allowed" if ctypes.CDLL(None).syscall(425, 1, ctypes.create_string_buffer(120)) < 0 else "")')
is 'whether io_uring is allowed is asked' "$(shown '.environment.io_uring' | grep -o 'not allowed')" "$uring"
is 'no row claims memory that its heap does not keep' "$(shown '.not_here[] | select(.name == "ours-memfd-recycled").why')" 'no memory of this heap is kept'
if [[ $direct ]]; then
    is 'the baseline is the ceiling, which ran twice a round' "$(shown '.baselines.read as $b | $b, (.rows[] | select(.name == $b).runs | length)' | xargs)" 'ceiling-read 4'
    is 'all began with the file out of the page cache' "$(shown '[.rows[].cold | select(. != null)] | all')" true
    is 'ours went direct' "$(shown '.rows[] | select(.name == "ours-memfd-first").path')" pinned-direct
fi
if [[ $private ]]; then
    is 'cp ran in a mount' "$(shown '.rows[] | select(.name == "cp-memfd") | .error // "well"')" well
    check 'which is gone' bash -c "! ls -d ${XDG_RUNTIME_DIR:-/tmp}/dmabuffs-exec.* 2>/dev/null"
fi

run bench --rows 'ours-memfd-first' --markdown --runs 1 x
says 'markdown' 0 '| ours-memfd-first | 0.0 |'
check 'one row alone has its baseline beside it' [ "$(grep -c '^| [co][eu]' <<<"$out")" == "$([[ $direct ]] && echo 2 || echo 1)" ]
run bench --list x
says 'the list has what the mailing lists call it' 0 'udmabuf direct sendfile'
run bench --each 1M --rows 'ours-memfd-*' --rows 'cp-*' --write --runs 1 x
says 'in pieces, into several buffers' 0 '2.0 MiB in 2 buffers of 1.0 MiB'
says 'which cp can not do' 0 'cp-memfd: cp fills one buffer'
truncate -s 1048577 odd
run bench --rows 'ours-memfd-*' --rows 'memfd-*' --write --runs 1 odd
says 'a file that is no whole block' 0 'a changed byte was noticed'

run bench --rows 'ours' x
says 'a row that is not there' 2 '--rows ours: there is no such row'
run bench --runs 0 x
says 'no runs' 2 '--runs: a number from 1 to 1000'
run bench --each 1000 x
says 'pieces of no whole page' 2 '--each 1000: buffers are whole pages'
run bench --chunks 3x1M x
says 'pieces that are not those of the file' 2 'fills 2 buffers'
run bench --json --markdown x
says 'two forms' 2 'one of them'
run bench --heap none x
says 'a heap that is not there' 2 '--heap none: there is no such heap here; there are memfd'
head -c 1000 x >small
run bench small
says 'too small' 1 'below 1 MiB'
run bench .
says 'no file' 1 'no regular file'
run bench --svg none/x.svg x
says 'a chart that has no place' 1 'none/x.svg'
mount_it
random 2000000 >"$heap/buffer"
run bench "$heap/buffer"
says 'a buffer of a mount is no file of a disk' 1 'lies in a dmabuffs mount'

# Somebody writes to FILE meanwhile.
(while sleep 0.05; do printf x | dd of=x bs=1 conv=notrunc status=none; done) &
writer=$!
run bench --rows 'ours-memfd-*' --runs 50 x
kill "$writer"
says 'a file that is written meanwhile is no measure' 1 'changed while it was measured'

"$DMABUFFS" bench --write --runs 1000 --rows 'ours-*' --rows 'cp-*' x >/dev/null 2>&1 &
pid=$!
for ((i = 0; i < 200; i++)); do compgen -G '.dmabuffs-bench-*' >/dev/null && break; sleep 0.05; done
check 'the scratch file is there while it runs' compgen -G '.dmabuffs-bench-*' >/dev/null
kill -TERM "$pid"
wait "$pid"
is 'a signal ends it' "$?" 143
is 'and leaves nothing' "$(compgen -G '.dmabuffs-bench-*' | wc -l) $(find "${XDG_RUNTIME_DIR:-/tmp}" -maxdepth 1 -name 'dmabuffs-exec.*' 2>/dev/null | wc -l)" '0 0'
