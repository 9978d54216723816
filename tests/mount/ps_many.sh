#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `dmabuffs ps` on a machine with 2000 more processes.
# timeout: 300
source "$(dirname "$0")/lib.sh"
# They end with their standard input.
coproc many { exec sh -c 'n=0; exec 3<&0; while [ $n -lt 2000 ]; do read -r _ <&3 & n=$((n + 1)); done; echo $n; wait'; }
# shellcheck disable=SC2154 # coproc sets it
pid=$many_PID
read -r -t 200 answer <&"${many[0]}"
is 'processes' "$answer" 2000
is 'that are all there' "$(ps -o pid= --ppid "$pid" | wc -l)" 2000
# The processors' time: how long it takes depends on what else the machine does. Sanitizers take several times as much.
limit=1
if [[ ${DMABUFFS_SANITIZER-} ]]; then limit=5; fi
TIMEFORMAT='%U %S'
seconds=$({ time "$DMABUFFS" ps >"$T/ps"; } 2>&1 | tail -n 1)
echo "# user and system: $seconds s"
check 'ps takes less than a second of a processor' awk "BEGIN { exit !(${seconds/ / + } < $limit) }"
is 'and lists' "$(head -n 1 "$T/ps")" 'INODE  SIZE  EXPORTER  NAME  HELD BY'
eval "exec ${many[1]}>&-"
wait "$pid"
