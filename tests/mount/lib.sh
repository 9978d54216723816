# SPDX-License-Identifier: MIT
# Sourced by the shell tests of the mount: the words of a test, and a mount that is always taken away.
# Not executable: tests/run takes what is executable for a test.
set -uo pipefail
data=$T/data mnt="$T/a mount" outside=$T/outside # a space, since people have them
# tests/guest/mount_suite.sh runs the same tests on the heaps of real dma-bufs.
heap=$mnt/heaps/${TEST_HEAP:-memfd} files=$mnt/files/data
mkdir -p "$data" "$mnt" "$outside"
failed=0

pass() { echo "ok - $1"; }
miss() { # NAME [WHY]
    echo "not ok - $1"
    [[ ${2-} ]] && echo "# $2"
    failed=1
}
check() { # NAME COMMAND...: the command must succeed
    local name=$1
    shift
    if "$@"; then pass "$name"; else miss "$name" "failed: $*"; fi
}
is() { # NAME SEEN WANTED
    if [[ $2 == "$3" ]]; then pass "$1"; else miss "$1" "it is '$2', not '$3'"; fi
}
same() { # NAME A B: the bytes, and the length that stat tells
    if cmp -- "$2" "$3" && [[ $(stat -c %s -- "$2") == "$(stat -c %s -- "$3")" ]]; then pass "$1"; else
        miss "$1" "$(stat -c '%n: %s bytes' -- "$2" "$3" | xargs)"
    fi
}
# Runs COMMAND; its output is in $out, its exit status in $status.
out='' status=0
run() { out=$("$@" 2>&1) && status=0 || status=$?; }
says() { # NAME STATUS TEXT: about the last run
    if [[ $status == "$2" && $out == *"$3"* ]]; then pass "$1"; else
        miss "$1" "exit $status (not $2), or no '$3' in: $out"
    fi
}
refuses() { ! "$@" >/dev/null 2>&1; }
within() { timeout --kill-after=5 "$@"; } # SECONDS COMMAND...
# A copy has stored its first piece (64 MiB), or made its directory. Only builtins ask: what is left may take 0.4 s.
begun() { # FILE-OR-DIRECTORY
    local end=$((SECONDS + 20))
    until [[ -d $1 || -s $1 ]]; do ((SECONDS < end)) || return; done
}
random() { head -c "$1" /dev/urandom; }   # BYTES
on_memfd() { [[ ${TEST_HEAP:-memfd} == memfd ]]; }  # for what only buffers without a dma-buf promise
scaled() { if on_memfd; then echo "$1"; else echo "$2"; fi; } # HERE GUEST: a guest is emulated, and small
size_of() { stat -c %s -- "$@"; }

is_mounted() { awk -v at="${1// /\\\\040}" '$5 == at { found = 1 } END { exit !found }' /proc/self/mountinfo; }
mount_it() { # OPTION...
    "$DMABUFFS" mount "$@" --files data="$data" "$mnt" || { echo 'not ok - the mount for this test'; exit 1; }
}
daemon() { jq .pid "$mnt/status"; }
# shellcheck disable=SC2329  # called by the trap
finish() {
    cd /
    if is_mounted "$mnt"; then
        "$DMABUFFS" umount "$mnt" || { miss 'the mount is taken away'; "$DMABUFFS" umount --lazy "$mnt"; }
    fi
    exit "$failed"
}
trap finish EXIT
