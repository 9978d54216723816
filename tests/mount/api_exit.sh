#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The exit statuses of dmabuffs(1) and mount.dmabuffs(8), of every command: 0 done, 1 failed, 2 wrong usage, and those of
# diff, exec and doctor. What is said beside them other tests look at.
source "$(dirname "$0")/lib.sh"
manual=$(realpath "$(dirname "$0")/../../docs/man")
mount_it
cd "$T" || exit
random 5000 >"$outside/a"
cp "$outside/a" "$heap/b"
head -c 24 /dev/zero >one_4x4_nv12.yuv
mkdir other
declare -A seen
exits() { # STATUS COMMAND ARGUMENT...
    run within 60 "$DMABUFFS" "${@:2}" </dev/null
    seen[$2]+=" $1"
    local words="${*:2}"
    words=${words//"$mnt"/MOUNT}
    says "$1: ${words//"$T/"/}" "$1" ''
}
exits 0 mount other
exits 1 mount other
exits 2 mount --none other
exits 0 umount other
exits 1 umount other
exits 2 umount
exits 0 cp "$outside/a" "$heap"
exits 1 cp "$outside/none" "$heap"
exits 1 cp "$outside/none" "$outside/a" "$heap" # also if others were copied
exits 2 cp "$outside/a"
exits 0 create --size 4096 "$heap/new"
exits 1 create --size 4096 "$heap/new"
exits 2 create --size lots "$heap/newer"
exits 0 format --format R8 --size 10x10 "$heap/b"
exits 1 format --format R8 --size 10x10 "$heap/none"
exits 2 format --format R8 --size 10 "$heap/b"
exits 0 info "$heap/b"
exits 1 info "$heap/b" "$heap/none"
exits 2 info
exits 1 import --fd 99 "$mnt/heaps/import/x"
exits 2 import "$mnt/heaps/import/x"
exits 0 ps
if [[ $("$DMABUFFS" ps --json) == '[]' ]]; then says 'where there are no dma-bufs it says so' 0 'no dma-bufs; buffers of heaps/memfd are none'; fi
exits 1 ps --pid 2147483647
exits 2 ps --pid none
exits 0 view -o picture.png one_4x4_nv12.yuv
exits 1 view -o picture.png none_4x4_nv12.yuv
exits 2 view
exits 0 diff "$outside/a" "$heap/a"
exits 1 diff "$outside/a" one_4x4_nv12.yuv
exits 2 diff "$outside/a" none
exits 2 diff "$outside/a"
exits 0 hex "$heap/b" 0 16
exits 1 hex none
exits 2 hex "$heap/b" nowhere
exits 0 status "$mnt"
exits 1 status other
exits 2 status
exits 0 socket "$mnt"
exits 1 socket other
exits 2 socket
exits 0 bench --list --create 1M bench.data
exits 1 bench none
exits 2 bench --runs 0 bench.data
exits 2 doctor --none
exits "$([[ $("$DMABUFFS" doctor --json | jq .direct) == true ]] && echo 0 || echo 1)" doctor
exits 0 exec "$heap/b" -- true
exits 1 exec "$heap/none" -- true
exits 2 exec --none -- true
exits 7 exec "$heap/b" -- sh -c 'exit 7'
exits 126 exec "$heap/b" -- "$outside/a"
exits 127 exec "$heap/b" -- "$outside/none"
exits 143 exec "$heap/b" -- sh -c 'kill $$'
exits 0 help cp
exits 0 --help
says 'which tells of that of the commands' 0 'dmabuffs help COMMAND'
exits 0 --version
exits 0 help help
exits 2 help nonsense
exits 2 nonsense
exits 2 --none

run "$DMABUFFS"
says '2: no command' 2 ''
ln -s "$DMABUFFS" mount.dmabuffs
helper() { run within 60 ./mount.dmabuffs "${@:2}"; says "$1: mount.dmabuffs ${*:2}" "$1" ''; } # STATUS ARGUMENT...
helper 0 none other -o ro
helper 1 none other -o ro
"$DMABUFFS" umount other
helper 2 none other -o wrong=1
helper 0 --help

# Each command was asked for all three. (A dma-buf to import, and one for a direct path, are not everywhere: tests/guest.)
for command in $("$DMABUFFS" --help | sed -n '/ommands:$/,$s/^  \([a-z]\+\).*/\1/p'); do
    wanted='0 1 2'
    [[ $command != @(import|doctor) ]] || wanted='1 2'
    [[ $command != doctor || ${seen[doctor]} != *0* ]] || wanted='0 2'
    is "$command: $wanted" "$(tr ' ' '\n' <<<"${seen[$command]-}" | grep -x '[012]' | sort -u | xargs)" "$wanted"
done
# The pages name these and no others.
statuses() { # PAGE; a number in () is a section of the manual
    awk '/^\.SH/ { here = /EXIT STATUS/ } here' "$manual/$1" | sed 's/([0-9])//g' | grep -oE '\b[0-9]+\b' | sort -nu | xargs
}
is 'dmabuffs(1) says which' "$(statuses dmabuffs.1)" '0 1 2 126 127 128'
is 'and mount.dmabuffs(8)' "$(statuses mount.dmabuffs.8)" '0 1 2'
