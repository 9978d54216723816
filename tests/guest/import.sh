#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# dma-bufs that others have made as files of heaps/import; a device's driver that holds what was handed out, on all
# heaps; memory that no CPU may touch; the heap whose name changes.
# vm: --memory 2048 --scratch 512M
# timeout: 600
source "$(dirname "$0")/common.bash"
modprobe -q vgem
echo 0 >/proc/sys/kernel/yama/ptrace_scope 2>/dev/null
make_disk
load_module
check 'the module with other exporters loads' insmod "$(dirname "$DMABUFFS_BUILD")/kernel/$(uname -r)/test/dmabuf_foreign.ko"
before=$(dmabufs)
mount_it -o allow_other --files d="$disk"
import=$mnt/heaps/import
size=65536
random() { head -c "$1" /dev/urandom; }
random $size >"$T/first"
random $size >"$T/second"

# A program that makes a dma-buf of its own, maps it, and does what it is told.
cat >"$T/owner" <<'XEOF'
import fcntl, glob, mmap, os, struct, sys
kind, size = sys.argv[1], int(sys.argv[2])
def call(fd, request, layout, *values):
    data = bytearray(struct.pack(layout, *values))
    number = fcntl.ioctl(fd, request, data, True)
    return number, struct.unpack(layout, data)
memory = None
if kind == 'udmabuf':
    memfd = os.memfd_create('owner', os.MFD_ALLOW_SEALING)
    os.ftruncate(memfd, size)
    fcntl.fcntl(memfd, 1033, 2)  # F_ADD_SEALS, F_SEAL_SHRINK
    fd, _ = call(os.open('/dev/udmabuf', os.O_RDWR), 0x40187542, 'IIQQ', memfd, 1, 0, size)
    memory = mmap.mmap(memfd, size)
elif kind.startswith('vgem'):
    card = next(c for c in glob.glob('/sys/class/drm/card[0-9]*') if os.path.realpath(c + '/device').endswith('vgem'))
    card = os.open('/dev/dri/' + os.path.basename(card), os.O_RDWR)
    handle = call(card, 0xC02064B2, 'IIIIIIQ', size // 256, 64, 32, 0, 0, 0, 0)[1][4]  # CREATE_DUMB
    mode = os.O_CLOEXEC | (0 if kind == 'vgem-read' else os.O_RDWR)
    fd = call(card, 0xC00C642D, 'IIi', handle, mode, -1)[1][2]  # PRIME_HANDLE_TO_FD
    memory = mmap.mmap(card, size, offset=call(card, 0xC01064B3, 'IIQ', handle, 0, 0)[1][2])  # MAP_DUMB
else:
    heap = os.open('/dev/dma_heap/' + kind, os.O_RDWR)
    fd = call(heap, 0xC0184800, 'QIIQ', size, 0, os.O_RDWR | os.O_CLOEXEC, 0)[1][1]  # DMA_HEAP_IOCTL_ALLOC
print(fd, os.fstat(fd).st_ino, flush=True)
for line in sys.stdin:
    word, *rest = line.split()
    if word == 'write':
        memory[:4] = rest[0].encode()
        print('ok', flush=True)
    else:
        print(memory[:4].decode(errors='replace'), flush=True)
XEOF
start() { # COMMAND...: $pid, $fd and $inode are of its dma-buf
    coproc program { exec "$@"; }
    # shellcheck disable=SC2154 # coproc sets it
    pid=$program_PID
    read -r -t 120 fd inode <&"${program[0]}"
}
say() { echo "$*" >&"${program[1]}"; read -r -t 120 answer <&"${program[0]}"; }
end() { eval "exec ${program[1]}>&-"; wait "$pid"; }
in_status() { jq -c "$1" "$mnt/status"; }

for kind in udmabuf vgem; do
    file=$import/$kind
    used=$(in_status .memory.used)
    start python3 "$T/owner" $kind $size
    check "$kind: import" "$DMABUFFS" import --pid "$pid" --fd "$fd" "$file"
    equals "$kind: it is the dma-buf itself" "$(about "$file" inode)" "$inode"
    equals "$kind: as large, and for its importer to read" "$(stat -c '%s %a %u' "$file")" "$size 400 0"
    equals "$kind: charged to nobody" "$(in_status '[.memory.used, .memory.imported]')" "[$used,$size]"
    run "$DMABUFFS" info "$file"
    says "$kind: which info says" 0 "to nobody: it is another's memory"
    run "$DMABUFFS" status "$mnt"
    says "$kind: and status" 0 "imported: 64.0 KiB of others' memory, charged to nobody"
    equals "$kind: its owner holds it" "$(about "$file" held_elsewhere)" true
    say write abcd
    equals "$kind: what its owner writes the file shows at once" "$(head -c 4 "$file")" abcd
    say write efgh
    equals "$kind: and again" "$(head -c 4 "$file")" efgh
    rm "$file"
    run "$DMABUFFS" import --rw --format R8 --size 1000x1000 --pid "$pid" --fd "$fd" "$file"
    says "$kind: a picture that is not in it" 1 'plane 0 of 1000x1000 ends at byte 1000000, and there are 65536'
    check "$kind: and no file is left" [ ! -e "$file" ]
    check "$kind: import --rw" "$DMABUFFS" import --rw --format R8 --size 256x256 --pid "$pid" --fd "$fd" "$file"
    equals "$kind: is known for what it is" "$(about "$file" format | jq -r .text)" R8:256x256:stride=256:offset=0
    equals "$kind: for its importer to write" "$(stat -c %a "$file")" 600
    printf ijkl | dd of="$file" conv=notrunc status=none
    say read
    equals "$kind: and what is written to the file its owner sees" "$answer" ijkl
    run truncate -s 4096 "$file"
    says "$kind: it keeps its size: truncate" 1 'Operation not permitted'
    run truncate -s +4096 "$file"
    says "$kind: longer neither" 1 'Operation not permitted'
    cat "$T/first" "$T/first" >"$disk/long"
    run cp "$disk/long" "$file"
    says "$kind: nor does cp change it" 1 'Operation not permitted'
    run dd if="$disk/long" of="$file" conv=notrunc bs=1M status=none
    says "$kind: what goes beyond is refused" 1 'Operation not permitted'
    check "$kind: what fits is there" cmp -n $size "$disk/long" "$file"
    cp "$T/second" "$disk/second"
    equals "$kind: dmabuffs cp of as many bytes, by the kernel module" \
        "$("$DMABUFFS" cp --json --require-direct "$disk/second" "$file" | jq -c .paths)" "{\"kernel-direct\":$size}"
    check "$kind: is over it" cmp "$T/second" "$file"
    equals "$kind: in the same dma-buf" "$(about "$file" inode)" "$inode"
    check "$kind: copied out to the disk" cp "$file" "$mnt/files/d/out"
    check "$kind: it is right there" cmp "$T/second" "$disk/out"
    equals "$kind: exec hands it on" "$("$DMABUFFS" exec "$file" -- sh -c 'stat -Lc %i /dev/fd/3')" "$inode"
    equals "$kind: it has the name its owner gave it" "$(about "$file" name)" null
    check "$kind: moved within" mv "$file" "$import/other"
    check "$kind: it is the same" cmp "$T/second" "$import/other"
    end
    equals "$kind: its owner has ended" "$(about "$import/other" held_elsewhere)" false
    check "$kind: and it is there" cmp "$T/second" "$import/other"
    check "$kind: rm" rm "$import/other"
    for _ in {1..50}; do [[ $(dmabufs) == "$before" ]] && break; sleep 0.1; done
    equals "$kind: lets it go" "$(dmabufs)" "$before"
done

# A descriptor that may only be read.
start python3 "$T/owner" vgem-read $size
file=$import/readable
check 'read-only descriptor: import --rw' "$DMABUFFS" import --rw --pid "$pid" --fd "$fd" "$file"
say write mnop
equals 'read-only descriptor: it is read' "$(head -c 4 "$file")" mnop
run dd if="$T/first" of="$file" conv=notrunc status=none
says 'read-only descriptor: nobody writes by it, root neither' 1 'Permission denied'
run "$DMABUFFS" cp --no-progress "$T/first" "$file"
says 'read-only descriptor: nor by a copy' 1 'open for reading only'
check 'read-only descriptor: for a reason that is told' grep -qF 'open for reading only' <(jq '.refused' "$mnt/status")
equals 'read-only descriptor: it is handed on' "$("$DMABUFFS" exec "$file" -- sh -c 'stat -Lc %i /dev/fd/3')" "$inode"
say read
equals 'read-only descriptor: nothing has changed' "$answer" mnop
rm "$file"
end

# Of a user: with that user's rights, and within that user's share.
chmod 666 /dev/udmabuf
chmod 755 "$T"
as() { setpriv --reuid 65534 --regid 65534 --clear-groups env -u XDG_RUNTIME_DIR "$@"; }
start setpriv --reuid 65534 --regid 65534 --clear-groups /usr/bin/python3 "$T/owner" udmabuf $size
check 'a user imports what a process of that user has' as "$DMABUFFS" import --rw --pid "$pid" --fd "$fd" "$import/users"
equals 'the file is the user'\''s' "$(stat -c '%u %a' "$import/users")" '65534 600'
say write qrst
equals 'who reads it' "$(as head -c 4 "$import/users")" qrst
check 'and a third does not' eval '! setpriv --reuid 65533 --regid 65533 --clear-groups cat "$import/users" 2>/dev/null'
end
start python3 "$T/owner" udmabuf $size
run as "$DMABUFFS" import --pid "$pid" --fd "$fd" "$import/others"
says 'of a process of root that user takes nothing' 1 'its descriptors are not yours to take'
check 'and no file is left' [ ! -e "$import/others" ]
end

# A device's driver as the holder: on each heap.
start python3 "$T/owner" udmabuf $size
"$DMABUFFS" import --rw --pid "$pid" --fd "$fd" "$import/buffer"
end # only the mount holds it now
for heap in system udmabuf direct import; do
    file=$mnt/heaps/$heap/buffer
    if [[ $heap == import ]]; then "$DMABUFFS" cp --no-progress "$T/first" "$file"; else cp "$T/first" "$file"; fi
    start "$DMABUFFS" exec "$file" -- "$tools/vgem-import"
    equals "vgem, $heap: it imports the dma-buf" "$fd" imported
    inode=$(about "$file" inode)
    say write driver
    equals "vgem, $heap: what is written by the driver the file shows at once" "$(head -c 6 "$file")" driver
    printf filed. | dd of="$file" conv=notrunc status=none
    say read 6
    equals "vgem, $heap: and what is written to the file the driver sees" "$answer" filed.
    # In heaps/import plain cp can't cut it first.
    if [[ $heap == import ]]; then over=("$DMABUFFS" cp --no-progress); else over=(cp); fi
    check "vgem, $heap: cp over it" "${over[@]}" "$T/second" "$file"
    check "vgem, $heap: has the new bytes" cmp "$T/second" "$file"
    equals "vgem, $heap: in the same dma-buf" "$(about "$file" inode)" "$inode"
    "$DMABUFFS" exec "$file" -- "$DMABUFFS" import --rw --fd 3 "$import/again"
    run "$DMABUFFS" cp --no-progress "$import/again" "$file"
    says "vgem, $heap: dmabuffs cp of another name of it onto it is refused" 1 'are the same dma-buf'
    check "vgem, $heap: and loses nothing" cmp "$T/second" "$file"
    rm "$import/again"
    equals "vgem, $heap: the driver alone holds it" "$(about "$file" held_elsewhere)" true
    run "${over[@]}" "$disk/long" "$file"
    if [[ $heap == import ]]; then
        says "vgem, $heap: a larger one never fits" 1 'Operation not permitted'
    else
        says "vgem, $heap: a larger cp is EBUSY" 1 'Device or resource busy'
    fi
    end
    equals "vgem, $heap: which nobody holds when the program has ended" "$(about "$file" held_elsewhere)" false
    [[ $heap == import ]] || check "vgem, $heap: then a larger one works" cp "$disk/long" "$file"
    rm "$file"
done

# Memory that no CPU may touch: of the mount's own, and imported.
name=protected,secure-video
heap=$mnt/heaps/$name
why='its memory is not for the CPU, the exporter does not let it be mapped'
refused() { in_status '.refused[-1].message'; }
check 'protected: the heap is listed' [ -d "$heap" ]
check 'protected: truncate allocates' truncate -s $size "$heap/frame"
equals 'protected: a dma-buf' "$(about "$heap/frame" exporter)" tee
equals 'protected: it is charged' "$(in_status ".heaps[] | select(.name == \"$name\").bytes")" $size
run cat "$heap/frame"
says 'protected: no read' 1 'Input/output error'
check 'protected: for a reason that is told' grep -qF "$why" <<<"$(refused)"
run "$DMABUFFS" view --format R8 --size 64x64 -o "$T/frame.png" "$heap/frame"
says 'protected: no picture, and where the reason is' 1 "can't be read; dmabuffs status $heap/frame shows why"
check 'protected: no part of one' [ ! -e "$T/frame.png" ]
run "$DMABUFFS" status "$heap/frame"
says 'protected: the reason is there' 0 "$why"
check 'protected: it can be said what it is' "$DMABUFFS" format --format R8 --size 64x64 "$heap/frame"
run cat "$mnt/views/$name/frame.png"
says 'protected: no view' 1 'Input/output error'
run dd if="$T/first" of="$heap/frame" conv=notrunc status=none
says 'protected: no write' 1 'Input/output error'
for way in 'dd status=none if=' 'cp '; do
    rm -f "$heap/new"
    # shellcheck disable=SC2086 # words of a command
    if [[ $way == dd* ]]; then run ${way}"$T/first" of="$heap/new"; else run ${way}"$disk/second" "$heap/new"; fi
    says "protected: ${way%% *} of a new file" 1 'Input/output error'
    equals "protected: ${way%% *} leaves no bytes" "$(stat -c '%s %b' "$heap/new")" '0 0'
done
run cp "$mnt/files/d/second" "$heap/new"
says 'protected: nor by copy_file_range' 1 'Input/output error'
run "$DMABUFFS" cp --no-progress "$T/first" "$heap/direct"
says 'protected: nor by dmabuffs cp, which says why' 1 "$why"
check 'protected: and leaves no file' [ ! -e "$heap/direct" ]
equals 'protected: exec hands it out' "$("$DMABUFFS" exec "$heap/frame" -- sh -c 'stat -Lc %i /dev/fd/3')" \
    "$(about "$heap/frame" inode)"
check 'protected: cut to nothing it can be made anew' truncate -s 0 "$heap/frame"
check 'protected: larger' truncate -s $((2 * size)) "$heap/frame"
rm "$heap"/*
start python3 "$T/owner" $name $size
check 'protected: import' "$DMABUFFS" import --rw --pid "$pid" --fd "$fd" "$import/secure"
run cat "$import/secure"
says 'protected: no read of what was imported' 1 'Input/output error'
check 'protected: for that reason' grep -qF "secure: dma-buf: $why" <<<"$(refused)"
run dd if="$T/first" of="$import/secure" conv=notrunc status=none
says 'protected: no write to it' 1 'Input/output error'
equals 'protected: it is handed on' "$("$DMABUFFS" exec "$import/secure" -- sh -c 'stat -Lc %i /dev/fd/3')" "$inode"
rm "$import/secure"
end

# An exporter that takes its memory away: SIGBUS for whoever has it mapped.
start python3 "$T/owner" gone $size
check 'gone: import' "$DMABUFFS" import --rw --pid "$pid" --fd "$fd" "$import/gone"
run cat "$import/gone"
says 'gone: a read fails' 1 'Input/output error'
check 'gone: for a reason that is told' grep -qF 'gone: its exporter has taken the memory away' <<<"$(refused)"
run dd if="$T/first" of="$import/gone" conv=notrunc status=none
says 'gone: a write, too' 1 'Input/output error'
check 'gone: and the daemon lives' cmp "$T/first" <(cp "$T/first" "$mnt/heaps/memfd/x" && cat "$mnt/heaps/memfd/x")
rm "$import/gone" "$mnt/heaps/memfd/x"
check 'gone: import anew' "$DMABUFFS" import --rw --pid "$pid" --fd "$fd" "$import/gone"
run cp "$import/gone" "$mnt/files/d/gone"
says 'gone: a copy to the disk fails' 1 'Input/output error'
rm "$import/gone"
check 'gone: once more' "$DMABUFFS" import --rw --pid "$pid" --fd "$fd" "$import/gone"
run cp "$import/gone" "$mnt/heaps/memfd/x"
says 'gone: a copy to a buffer fails' 1 'Input/output error'
rm "$import/gone" "$mnt/heaps/memfd/x"
check 'gone: and again' "$DMABUFFS" import --rw --pid "$pid" --fd "$fd" "$import/gone"
sync
echo 1 >/proc/sys/vm/drop_caches # from the page cache the kernel copies, and says EFAULT
run "$DMABUFFS" cp --no-progress "$disk/second" "$import/gone"
says 'gone: and one into it' 1 'its exporter has taken the memory away'
rm "$import/gone"
end

# The heap whose name changes.
equals 'heaps/cma is the default CMA heap' "$(readlink "$mnt/heaps/cma")" linux,cma
check 'which takes a file' cp "$T/first" "$mnt/heaps/cma/x"
equals 'of that heap' "$(about "$mnt/heaps/cma/x" heap)" linux,cma
rm "$mnt/heaps/cma/x"
check 'unmount' unmount_it
for _ in {1..50}; do [[ $(dmabufs) == "$before" ]] && break; sleep 0.1; done
equals 'no dma-buf is left' "$(dmabufs)" "$before"
mount_it --heap cma --heap $name
equals '--heap takes both names' "$(cd "$mnt/heaps" && echo *)" 'cma import linux,cma protected,secure-video'
unmount_it

# A user's imports end at that user's share of descriptors, and cost nobody else.
setpriv --bounding-set -sys_resource bash -c 'ulimit -n 100 && exec "$@"' - "$DMABUFFS" mount -o allow_other "$mnt"
start setpriv --reuid 65534 --regid 65534 --clear-groups /usr/bin/python3 "$T/owner" udmabuf $size
for ((count = 0; count < 64; count++)); do
    run as "$DMABUFFS" import --pid "$pid" --fd "$fd" "$import/$count"
    ((status == 0)) || break
done
says 'imports end at the share' 1 'No space left on device'
check "a share of some ($count)" between "$count" 20 50
check 'and root goes on' cp "$T/first" "$mnt/heaps/memfd/x"
end
unmount_it
check 'the modules go' rmmod dmabuf_foreign dmabuf_file
exit "$failed"
