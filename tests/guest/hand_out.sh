#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `dmabuffs exec PATH... -- COMMAND` hands the dma-buf itself to a program: its identity, who holds it, what it is charged to.
# shellcheck disable=SC2016 # $3 and the like are for the inner shells
# vm: --memory 2048 --scratch 1G
# timeout: 600
source "$(dirname "$0")/common.bash"
cat >"$T/program" <<'EOF'
import mmap, os, sys
fd = 3
memory = mmap.mmap(fd, 300000)
about = dict(line.split(':', 1) for line in open('/proc/self/fdinfo/3') if ':' in line)
print(os.fstat(fd).st_ino, about['exp_name'].strip(), flush=True)
for line in sys.stdin:
    word, *rest = line.split()
    if word == 'write':
        memory[:4] = rest[0].encode()
        print('ok', flush=True)
    else:
        print(memory[:4].hex(), flush=True)
EOF
random() { head -c "$1" /dev/urandom; }
random 300000 >"$T/first"
random 300000 >"$T/second"
random 8000000 >"$T/long"
start() { # HEAP
    coproc program { exec "$DMABUFFS" exec "$1" -- python3 "$T/program"; }
    # shellcheck disable=SC2154 # coproc sets it
    pid=$program_PID
    read -r -t 120 inode exporter <&"${program[0]}"
}
say() { echo "$*" >&"${program[1]}"; read -r -t 120 answer <&"${program[0]}"; }
end() { eval "exec ${program[1]}>&-"; wait "$pid"; }
info() { "$DMABUFFS" info --json "$buffer" | jq -r ".[0].$1"; }

make_disk
load_module
mount_it --files d="$disk"
for name in system udmabuf direct; do
    buffer=$mnt/heaps/$name/buffer
    cp "$T/first" "$buffer"
    start "$buffer"
    equals "$name: the program has the dma-buf of the file" "$inode" "$(info inode)"
    equals "$name: by its exporter" "$exporter" "$(info exporter)"
    say write abcd
    equals "$name: what it writes the file shows at once" "$(head -c 4 "$buffer")" abcd
    printf efgh | dd of="$buffer" conv=notrunc status=none
    say read
    equals "$name: and what is written to the file it sees" "$answer" 65666768
    check "$name: cp over it" cp "$T/second" "$buffer"
    check "$name: has the new bytes" cmp "$T/second" "$buffer"
    equals "$name: in the same dma-buf" "$(info inode)" "$inode"
    say read
    equals "$name: which the program sees" "$answer" "$(head -c 4 "$T/second" | od -An -tx1 | tr -d " \n")"
    check "$name: dmabuffs cp over it" "$DMABUFFS" cp --no-progress "$T/first" "$buffer"
    equals "$name: is the same dma-buf, too" "$(info inode)" "$inode"
    run "$DMABUFFS" cp --no-progress "$T/long" "$buffer"
    says "$name: a larger dmabuffs cp is refused" 1 'is in use elsewhere and holds only'
    check "$name: before anything is lost" cmp "$T/first" "$buffer"
    say read
    equals "$name: of the memory, neither" "$answer" "$(head -c 4 "$T/first" | od -An -tx1 | tr -d " \n")"
    equals "$name: a larger cp is EBUSY" "$(cp "$T/long" "$buffer" 2>&1 | grep -c 'Device or resource busy')" 1
    equals "$name: it is held elsewhere" "$(info held_elsewhere)" true
    end
    equals "$name: and not when the program has ended" "$(info held_elsewhere)" false
    check "$name: then a larger one works" cp "$T/long" "$buffer"
    check "$name: with its bytes" cmp "$T/long" "$buffer"
    "$DMABUFFS" exec "$buffer" -- true
    check "$name: as does adding to it" sh -c "cat $T/first >>$buffer && cat $T/long $T/first | cmp - $buffer"

    cp "$T/first" "$buffer"
    # Without what the larger one had, which is kept for reuse for a while.
    used() { jq '.memory | .used - .recycled' "$mnt/status"; }
    start "$buffer"
    before=$(used)
    equals "$name: it counts" "$before" "$(info capacity)"
    rm "$buffer"
    equals "$name: removed while it is held it counts all the same" "$(used)" "$before"
    check "$name: and is named" test "$(jq .memory.held_elsewhere "$mnt/status")" -ge 300000
    say write ijkl
    equals "$name: the program goes on" "$answer" ok
    end
    for _ in {1..30}; do [[ $(used) != "$before" ]] && break; sleep 0.1; done
    check "$name: until the program ends" test "$(used)" -lt "$before"
done

# ps against the kernel's own list.
for name in system udmabuf direct; do cp "$T/first" "$mnt/heaps/$name/buffer"; done
start "$mnt/heaps/udmabuf/buffer"
kernel() { awk 'NF >= 6 && $1 ~ /^[0-9]+$/ && $6 ~ /^[0-9]+$/ { printf "%d %d\n", $6, $1 }' /sys/kernel/debug/dma_buf/bufinfo | sort; }
# What was removed goes a moment later.
for _ in {1..30}; do
    "$DMABUFFS" ps --json >"$T/ps"
    shown=$(jq -r '.[] | "\(.inode) \(.size)"' "$T/ps" | sort)
    [[ $shown == "$(kernel)" ]] && break
    sleep 0.2
done
equals 'ps shows the inodes and sizes that the kernel does' "$shown" "$(kernel)"
equals 'ps names who holds one' "$(jq -r --argjson pid "$pid" '.[] | select(.path | tostring | endswith("udmabuf/buffer")) | .holders[] | select(.pid == $pid) | "\(.command) \(.descriptors[0]) \(.mappings)"' "$T/ps")" 'python3 3 1'
run "$DMABUFFS" ps --pid "$pid"
says 'ps --pid shows it to people' 0 "$mnt/heaps/udmabuf/buffer"
run setpriv --reuid 65534 --regid 65534 --clear-groups "$DMABUFFS" ps
says 'an ordinary user is told what is not seen' 0 'processes of others could not be looked into; run it as root'
end
unmount_it
exit "$failed"
