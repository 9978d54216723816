#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A daemon that is stopped (SIGSTOP): no command waits for it without a limit, and each says what is the matter.
# timeout: 300
source "$(dirname "$0")/cp_common.bash"
mount_it
daemon=$(jq .pid "$mnt/status")
head -c 100000 /dev/urandom >"$outside/a"
"$DMABUFFS" cp "$outside/a" "$heap/a"
trap 'kill -CONT "$daemon"; finish' EXIT
kill -STOP "$daemon"
remedy="(process $daemon) is stopped; \`kill -CONT $daemon\` lets it go on"
run timeout -s KILL 100 "$DMABUFFS" status "$mnt"
says 'status names the stopped daemon and the remedy' 1 "$remedy"
run timeout -s KILL 100 "$DMABUFFS" info "$heap/a"
says 'so does info' 1 "$remedy"
run timeout -s KILL 100 "$DMABUFFS" cp "$outside/a" "$heap/b"
says 'so does cp into it' 1 "$remedy"
run timeout -s KILL 100 "$DMABUFFS" cp "$heap/a" "$outside/b"
says 'and cp out of it' 1 "$remedy"
run timeout -s KILL 100 "$DMABUFFS" socket "$mnt"
says 'and socket' 1 "$remedy"
cat "$heap/a" >/dev/null & # waits in open(2): /proc does not show that it holds the mount
waiting=$!
sleep 1
run timeout -s KILL 100 "$DMABUFFS" umount "$mnt"
says 'umount says that its users wait for a stopped daemon' 1 "$remedy"
kill -CONT "$daemon"
wait "$waiting"
run timeout -s KILL 100 "$DMABUFFS" cp "$outside/a" "$heap/b"
check 'it goes on' cmp "$outside/a" "$heap/b"

# Stopped in the middle of a copy: 4 GiB of hole.
truncate -s 4G "$outside/huge"
"$DMABUFFS" cp "$outside/huge" "$mnt/files/data/huge" >"$T/said" 2>&1 &
copying=$!
for ((i = 0; i < 100; ++i)); do
    [[ -s $data/huge ]] && break
    sleep 0.05
done
kill -STOP "$daemon"
for ((i = 0; i < 900; ++i)); do
    [[ -s $T/said ]] && break
    sleep 0.1
done
# It can't end before: the kernel has the file closed with an answer of the daemon's.
check 'a copy whose daemon is stopped says so' grep -qF "$remedy" "$T/said"
kill -CONT "$daemon"
check 'and fails' refuses wait "$copying"
ended=1
