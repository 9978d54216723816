# SPDX-License-Identifier: MIT
# Sourced by the tests of `dmabuffs cp`: a mount (with a space in its name), and the words of a test.
set -u
data=$T/data mnt="$T/a mount" outside=$T/outside
heap=$mnt/heaps/memfd files=$mnt/files/data
failed=0

check() { # NAME COMMAND...
    local name=$1
    shift
    if "$@"; then echo "ok - $name"; else echo "not ok - $name"; failed=1; fi
}
is() { # NAME SEEN WANTED
    check "$1" test "$2" = "$3"
}
# Runs COMMAND, keeps its output in $out and its exit status in $status.
out='' status=0
run() { out=$("$@" 2>&1); status=$?; }
says() { # NAME STATUS TEXT: what the last run said
    if [[ $status == "$2" && $out == *"$3"* ]]; then echo "ok - $1"; else
        echo "not ok - $1"
        echo "# exit $status, not $2; or no '$3' in: $out"
        failed=1
    fi
}
quiet() { "$@" >/dev/null; }
refuses() { ! "$@" >/dev/null 2>&1; }

mount_it() { # OPTION...
    mkdir -p "$mnt" "$data" "$outside"
    "$DMABUFFS" mount "$@" --files data="$data" "$mnt" || { echo "not ok - the mount for this test"; exit 1; }
}
# shellcheck disable=SC2329  # called by the trap
finish() {
    "$DMABUFFS" umount "$mnt" || failed=1
    ((ended)) || { echo 'not ok - the test comes to its end'; failed=1; }
    exit $failed
}
ended=0 # each test says so in its last line: a name that is not set ends a script as if all were well
trap finish EXIT
