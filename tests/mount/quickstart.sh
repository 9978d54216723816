#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# docs/quickstart is what a newcomer runs first: its demo works, says which way the bytes took, leaves nothing.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
failed=0
check() { # NAME COMMAND...: the command must succeed
    local name=$1
    shift
    if "$@"; then echo "ok - $name"; else echo "not ok - $name"; failed=1; fi
}
check '--help tells' bash -c 'docs/quickstart --help | grep -q "^  --guest"'
check 'with exit status 0' docs/quickstart --help >"$T/usage"
check 'which an unknown option has not' bash -c '! docs/quickstart --none 2>/dev/null'
for words in '--size abc' '--size 0' '--size' '--size 1M'; do
    # shellcheck disable=SC2016
    check "$words: 2, and a sentence" bash -c '
        docs/quickstart $2 >"$1" 2>&1; [[ $? == 2 ]] && grep -q "^quickstart: --size.*: write a number of MiB" "$1"' - "$T/usage" "$words"
done
check '--dir of what is not there: 1, and a sentence' bash -c '
    docs/quickstart --dir "$1/none" >"$1/usage" 2>&1; [[ $? == 1 ]] && grep -q "not a directory" "$1/usage"' - "$T"
mkdir -p "$T/elsewhere/docs"
cp docs/quickstart "$T/elsewhere/docs"
PATH=$DMABUFFS_BUILD:$PATH "$T/elsewhere/docs/quickstart" --demo-only --size 8 --dir "$T/elsewhere" >"$T/out" 2>&1
status=$?
# shellcheck disable=SC2016
check 'where nothing is built the demo is of the program in $PATH' test "$status" = 0
((status == 0)) || sed 's/^/# /' "$T/out"
# It knows one build only.
[[ $DMABUFFS_BUILD -ef build/release ]] || { echo 'skip - the demo uses build/release'; exit "$failed"; }

before=$(grep -c dmabuffs /proc/self/mountinfo)
mkdir "$T/demo"
docs/quickstart --demo-only --size 48 --dir "$T/demo" >"$T/out" 2>&1
status=$?
sed 's/^/# /' "$T/out"
check 'the demo ends well' test $status = 0
check 'no step of it is refused' test "$(grep -c '^cp: ' "$T/out")" = 0
check 'it shows the copy into a buffer' grep -q '^\$ cp .*files/data/model.bin .*heaps/' "$T/out"
check 'and back' grep -q '^\$ cp .*heaps/.* .*files/data/copy.bin' "$T/out"
check 'which way the bytes took, and how fast' \
    grep -Eq '[0-9]+ MiB/s: .*(kernel-direct|pinned-direct|bounce-direct|buffered) [0-9]+ MiB' "$T/out"
check 'that they are the same' grep -q 'the same' "$T/out"
check 'it leaves no file' test -z "$(ls -A "$T/demo")"
check 'and no mount' test "$(grep -c dmabuffs /proc/self/mountinfo)" -le "$before"
check 'an option it does not know: 2, and what there is' bash -c '
    docs/quickstart --unknown >"$1" 2>&1; [[ $? == 2 ]] && grep -q -- --demo-only "$1"' - "$T/usage"
exit $failed
