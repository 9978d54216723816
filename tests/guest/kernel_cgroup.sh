#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Memory of the kernel module is charged to who asks for it, and to nobody once it is free: a limit that comes later
# kills nothing.
# vm: --memory 1024 --scratch 1G
# timeout: 200
source "$(dirname "$0")/common.bash"

mib=$((1 << 20))
make_disk
fallocate -l $((200 * mib)) "$disk/x"
load_module
group=/sys/fs/cgroup/limited
mkdir "$group"
echo 0 >"$group/memory.swap.max" 2>/dev/null
oom_events() { awk '$1 ~ /^oom/ { sum += $2 } END { print sum }' "$group/memory.events"; }
inside() { (echo "$BASHPID" >"$group/cgroup.procs" && exec "$@"); }
charged() { for _ in {1..50}; do (($(<"$group/memory.current") <= $1)) && return; sleep 0.1; done; cat "$group/memory.current"; return 1; } # MOST

mkfifo "$T/stay"
inside "$tools/module-move" --heap load --hold "$disk/x" <"$T/stay" >"$T/said" &
holder=$!
exec 3>"$T/stay"
for _ in {1..300}; do [[ -s $T/said ]] && break; sleep 0.1; done
check 'a LOAD is charged to its caller' between "$(<"$group/memory.current")" $((200 * mib)) $((240 * mib))
exec 3>&-
check 'it ends' wait $holder
check 'and nothing is charged any more' charged $((16 * mib))
echo 48M >"$group/memory.max"
check 'a limit that comes later is for others' inside dd if=/dev/zero of=/dev/null bs=24M count=1 status=none
run inside "$tools/module-move" --heap load "$disk/x"
equals 'a LOAD of more is refused' "${out%% *}" ENOMEM
check 'and nothing of it stays charged' charged $((16 * mib))
equals 'nothing met the OOM killer' "$(oom_events)" 0
check 'the module goes' rmmod dmabuf_file
exit $failed
