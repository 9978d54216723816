#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `dmabuffs exec PATH... -- COMMAND` hands a buffer's memory to a program: here a memfd, in tests/guest/hand_out.sh dma-bufs.
# shellcheck disable=SC2016 # $3 and the like are for the inner shells
# timeout: 300
source "$(dirname "$0")/lib.sh"
here=$(cd "$(dirname "$0")/../.." && pwd)
mount_it -o size=64M
cd "$T" || exit
random 300000 >first
random 300000 >second
buffer=$heap/buffer
cp first "$buffer"
hand() { "$DMABUFFS" exec "$@"; }

check 'the program has the bytes as its descriptor 3' sh -c '"$0" exec "$1" -- head -c 300000 /dev/fd/3 2>err | cmp - first' "$DMABUFFS" "$buffer"
is 'which is no dma-buf: that is said' "$(cat err)" "dmabuffs: exec: $buffer: handed over as a memfd, which programs can use and devices can't import"
run hand --require-dmabuf "$buffer" -- true
says '--require-dmabuf refuses it' 1 'a memfd, not a dma-buf; use another heap'
cp second "$heap/other"
is 'two, in their order' "$(hand "$heap/other" "in=$buffer" -- sh -c 'head -c 300000 /dev/fd/3 | cmp - second && head -c 300000 /dev/fd/4 | cmp - first && echo "$LISTEN_FDS $LISTEN_FDNAMES $((LISTEN_PID == $$))"' 2>/dev/null)" \
    '2 other:in 1'
run hand "$buffer" -- sh -c 'exit 7'
is 'the status is that of the program' "$status" 7
run hand "$buffer" -- ./none
says 'one that is not there' 127 'not found'
run "$DMABUFFS" exec -- "$buffer"
says 'a buffer in the place of the command: how it is meant' 126 'to hand a buffer to a command: dmabuffs exec FILE -- COMMAND'
cd "$mnt" || exit
run "$DMABUFFS" exec -- ./none
says 'but not where a command is not there' 127 'exec: ./none: not found'
cd "$T" || exit

# A program that has the buffer, and does what it is told.
cat >program <<'EOF'
import mmap, os, sys
fd = 3
size = os.fstat(fd).st_size
memory = mmap.mmap(fd, size)
print(os.fstat(fd).st_ino, size, flush=True)
for line in sys.stdin:
    word, *rest = line.split()
    if word == 'write':
        memory[:4] = rest[0].encode()
        print('ok', flush=True)
    elif word == 'read':
        print(memory[:4].hex(), flush=True)
    else:
        try:
            os.ftruncate(fd, int(rest[0]))
            print('cut', flush=True)
        except OSError as error:
            print(error.strerror, flush=True)
EOF
start() {
    coproc program { hand "$1" -- python3 program 2>/dev/null; }
    # shellcheck disable=SC2154 # coproc sets it
    pid=$program_PID
    read -r -t 60 _ size <&"${program[0]}"
}
say() { echo "$*" >&"${program[1]}"; read -r -t 60 answer <&"${program[0]}"; }
end() { eval "exec ${program[1]}>&-"; wait "$pid"; }
start "$buffer"
is 'it maps whole pages' "$size" 303104
say write abcd
is 'what it writes the file shows at once' "$(head -c 4 "$buffer")" abcd
printf efgh | dd of="$buffer" conv=notrunc status=none
say read
is 'and what is written to the file it sees' "$answer" 65666768
is 'the file is as long as it was' "$(size_of "$buffer")" 300000
say cut 0
is 'it can cut nothing off' "$answer" 'Operation not permitted'
say cut 400000
is 'nor add' "$answer" 'Operation not permitted'
check 'cp over it' cp second "$buffer"
same 'gives the new bytes' second "$buffer"
say read
is 'in the same memory' "$answer" "$(head -c 4 second | od -An -tx1 | tr -d " \n")"
random 1000 >short
check 'a shorter cp' cp short "$buffer"
same 'is as long as that' short "$buffer"
truncate -s 2000 "$buffer"
head -c 1000 /dev/zero | cat short - >grown
same 'what was cut off reads zero when it grows' grown "$buffer"
random 400000 >long
cp second "$buffer"
run "$DMABUFFS" cp --no-progress long "$buffer"
says 'a longer dmabuffs cp is refused' 1 'is in use elsewhere and holds only 303104 bytes'
same 'before anything is lost' second "$buffer"
say read
is 'of the memory, neither' "$answer" "$(head -c 4 second | od -An -tx1 | tr -d " \n")"
run cp long "$buffer"
says 'a longer one is refused' 1 'Device or resource busy'
held() { "$DMABUFFS" info --json "$buffer" | jq '.[0].held_elsewhere'; }
is 'info says that it is held' "$(held)" true
run "$DMABUFFS" info "$buffer"
says 'so does its text' 0 'by others, too'
end
is 'and that it is not when the program has ended' "$(held)" false

cp first "$buffer"
used() { jq .memory.used "$mnt/status"; }
before=$(used)
start "$buffer"
rm "$buffer"
is 'removed while it is held it counts all the same' "$(used)" "$before"
is 'and is named' "$(jq .memory.held_elsewhere "$mnt/status")" 303104
say write ijkl
is 'the program goes on' "$answer" ok
end
for _ in {1..20}; do [[ $(used) != "$before" ]] && break; sleep 0.1; done
is 'until the program ends' "$(used)" $((before - 303104))

# Refusals: object, reason, remedy.
true >"$heap/empty"
refused() { run hand "${@:4}"; says "$1" "$2" "$3"; } # NAME STATUS SENTENCE EXEC-ARGUMENT...
refused 'an empty file' 1 'give it a size first (truncate -s SIZE FILE' "$heap/empty" -- true
refused 'a name that is none' 1 "$heap/none: No such file" "$heap/none" -- true
refused 'a directory' 1 'a directory; name a file in it' "$heap" -- true
refused 'a word that is neither of a mount nor a program' 1 'first: not in a dmabuffs mount; the words before -- name buffers' first -- true
refused 'nor there' 1 'none: not in a dmabuffs mount; the words before -- name buffers' none -- true
refused 'a file of no mount' 1 'first: not in a dmabuffs mount' --fd first -- true
refused 'no command, which stands behind the file' 2 'as in: dmabuffs exec FILE -- COMMAND' "$heap/other" --
refused 'nor a file' 2 'as in: dmabuffs exec -- COMMAND' --
refused 'the status file' 1 "$mnt/status: not a buffer: those are the files below heaps/" "$mnt/status" -- true
refused 'a heap that is not there' 1 "$mnt/heaps/none-such/x: there is no heap none-such here" "$mnt/heaps/none-such/x" -- true
for command in 'create --size 1M' 'create --format XR24 --size 4x4' info format hex; do
    read -ra words <<<"$command"
    run "$DMABUFFS" "${words[@]}" "$mnt/heaps/none-such/x"
    says "so to $command" 1 'there is no heap none-such here'
done
run env -C "$heap" "$DMABUFFS" exec empty -- true
says 'a buffer is named once' 1 'exec: empty: empty, so it has no memory'
refused '--fd without a file' 2 'no buffer' --fd -- true
refused 'a private mount, too' 2 'with buffers none is made' --heap memfd "$heap/other" -- true
refused 'a name with a colon' 2 "can't hold ':'" "a:b=$heap/other" -- true
chmod 0400 "$heap/other"
((EUID == 0)) || refused 'a file that may only be read' 1 'both read and write' "$heap/other" -- true
chmod 0600 "$heap/other"

# The library and its examples, as they stand.
sanitizer=()
case ${DMABUFFS_SANITIZER-} in # whose library has to be the program's first
asan) sanitizer=(-fsanitize=address) ;;
tsan) sanitizer=(-fsanitize=thread) ;;
esac
check 'hold.c compiles' cc -Wall -Wextra -Werror "${sanitizer[@]}" -I "$here/dmabuffs/control" -o hold "$here/docs/examples/hold.c" \
    -L "$DMABUFFS_BUILD" -ldmabuffs -Wl,-rpath,"$DMABUFFS_BUILD"
run ./hold "$heap/other" </dev/null
says 'it says what the buffer is' 0 '300000 bytes of no dma-buf'
is 'and has filled it' "$(tr -d x <"$heap/other" | wc -c)" 0
run ./hold "$heap/empty"
says 'an error is a sentence' 1 "$heap/empty: empty, so it has no memory to hand out"
run ./hold "$mnt/status"
says 'the status file is no buffer' 1 'status: not a buffer'
sed -n '/^\.SH EXAMPLES/,/^\.fi/{/^\./!{s/\\-/-/g; p}}' "$here/docs/man/libdmabuffs.3" | sed "s,/run/buf/heaps/system/frame,$heap/other," >page.c
cat >null.c <<'EOF'
#include <dmabuffs.h>
#include <errno.h>
#include <stdio.h>
int main(void)
{
	for (int i = 0; i < 3; i++) {
		int done = i == 0 ? dmabuffs_open(NULL, 1, NULL) : i == 1 ? dmabuffs_stat(NULL, NULL) : dmabuffs_import(0, NULL, 0, NULL);
		printf("%d %d %s\n", done, errno == EINVAL, dmabuffs_error());
	}
	return 0;
}
EOF
for name in page null; do
    check "$name.c compiles" cc -Wall -Wextra -Werror "${sanitizer[@]}" -I "$here/dmabuffs/control" -o $name $name.c \
        -L "$DMABUFFS_BUILD" -ldmabuffs -Wl,-rpath,"$DMABUFFS_BUILD"
done
run ./page
says 'the example of libdmabuffs(3) does what it says' 1 'a memfd, not a dma-buf'
is 'no path is an error with a sentence' "$(./null)" "$(for name in open stat import; do echo "-1 1 dmabuffs_$name: the path is NULL"; done)"
is 'the library exports its functions only' "$(nm -D --defined-only "$DMABUFFS_BUILD/libdmabuffs.so" | grep -c ' T ')" 7
ldd "$DMABUFFS_BUILD/libdmabuffs.so" >needed
check 'and needs no FUSE' refuses grep fuse needed
cat >use.py <<'EOF'
import os, sys
from dmabuffs import Buffer
path = sys.argv[1]
with Buffer(path) as buffer:
    with buffer.sync(write=True) as memory:
        memory[:3] = b'py!'
    print(buffer.info['heap'], buffer.info['size'], open(path, 'rb').read(3).decode())
for _ in range(1000):
    Buffer(path).close()
try:
    Buffer(os.path.dirname(path) + '/empty')
except OSError as error:
    print(error)
EOF
descriptors() { find "/proc/$(daemon)/fd" -mindepth 1 ! -lname /dev/fuse 2>/dev/null | wc -l; } # each worker has one
before=$(descriptors)
run env PYTHONPATH="$here/docs/examples" python3 use.py "$heap/other"
says 'dmabuffs.py does what it says' 0 'memfd 300000 py!'
says 'and its errors are the sentences of the daemon' 0 'empty, so it has no memory to hand out'
run env PYTHONPATH="$here/docs/examples" python3 use.py "$PWD/first"
says 'nor does it take a file of no mount for a mount' 1 "not in a dmabuffs mount: '$PWD/first'"
# Files of another device than their directory, as on overlayfs.
if unshare -rm true; then
    run env PYTHONPATH="$here/docs/examples" unshare -rm sh -c 'mount --bind /proc/version first && exec python3 use.py "$PWD/first"'
    says 'nor one that is of another device than its directory' 1 "not in a dmabuffs mount: '$PWD/first'"
fi
for _ in {1..50}; do (($(descriptors) <= before)) && break; sleep 0.1; done
is '1000 hand-outs leave no descriptor' "$(descriptors)" "$before"
