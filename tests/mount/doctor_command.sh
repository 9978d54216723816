#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `dmabuffs doctor` on the machine at hand: its form, and that it changes nothing unless asked.
set -uo pipefail
[[ -x $DMABUFFS ]] || exit 1

failed=0
check() { # NAME COMMAND...: the command must succeed
    local name=$1
    shift
    if "$@"; then echo "ok - $name"; else echo "not ok - $name"; failed=1; fi
}
json_has() { jq -e "$1" "$T/json" >/dev/null; }
settings() { # what --fix would touch
    cat /proc/sys/vm/nr_overcommit_hugepages /sys/module/udmabuf/parameters/* 2>/dev/null
    stat -c '%a %U:%G %n' /dev/fuse /dev/udmabuf /dev/dma_heap/* 2>/dev/null
}
before=$(settings)
status=0
"$DMABUFFS" doctor --json >"$T/json" || status=$?
direct=$(jq .direct "$T/json")
check 'the JSON has checks, heaps and direct' \
    json_has '(.checks | length > 5) and (.heaps | length > 0) and (.direct | type == "boolean")'
check 'each check is ok, warn or missing' \
    json_has 'all(.checks[]; .state == "ok" or .state == "warn" or .state == "missing")'
check 'the exit status says whether a direct path is there' \
    [ "$status" == "$([[ $direct == true ]] && echo 0 || echo 1)" ]
check 'the memfd heap is there and is no dma-buf' \
    json_has 'any(.heaps[]; .name == "memfd" and .usable and (.is_dmabuf | not))'
"$DMABUFFS" doctor >"$T/text"
check 'no line but a fix is wider than 80 columns' bash -c "! grep -v 'fix: ' '$T/text' | grep -qE '.{81}'"
check 'no colours go into a file' bash -c "! grep -q $'\033' '$T/text'"
check 'it changes nothing' [ "$(settings)" == "$before" ]
if ((EUID == 0)); then
    status=0
    setpriv --reuid 65534 --regid 65534 --clear-groups "$DMABUFFS" doctor --fix >"$T/out" 2>"$T/err" || status=$?
    check '--fix without root: 1' [ "$status" == 1 ]
    check 'and the remedy' grep -q 'sudo dmabuffs doctor --fix' "$T/err"
    check 'and nothing has changed' [ "$(settings)" == "$before" ]
fi
exit "$failed"
