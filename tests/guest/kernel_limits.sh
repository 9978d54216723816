#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What is written past the daemon takes memory before anybody asks whether it may: the close does, and refuses; and an
# ordinary user's mount, whose clients can't pass the daemon.
# guest: debian13
# vm: --memory 1024 --scratch 1G
# timeout: 400
source "$(dirname "$0")/common.bash"

mib=$((1 << 20))
size=$((60 * mib))
make_disk
load_module
before=$(dmabufs)
for heap in system direct; do yes "in $heap" | head -c $size >"$disk/$heap"; done
drop_caches
write() { dd if="$disk/$1" of="$2" bs=1M status=none; } # HEAP BUFFER
used() { df --output=used -B1 "$mnt" | tail -n 1 | tr -d ' '; }
available() { echo $(($(awk '/^MemAvailable/ { print $2 }' /proc/meminfo) * 1024)); }
close_again() { : >>"$1"; }
refused() { jq -r '.refused[].message' "$mnt/status" | grep "^$1: "; } # HEAP
holds() { cmp "$disk/$1" "$2" && peek "$2" --same-as "$disk/$1"; } # HEAP BUFFER
# Somebody else's memory, in the middle of what is done here.
other=$T/other
mkdir "$other"
mount -t tmpfs -o size=100% other "$other"
leave() { # BYTES. Huge pages come quickly, though perhaps not all.
    local rest
    drop_caches
    echo $((($(available) - $1) >> 21)) >/proc/sys/vm/nr_hugepages
    rest=$(($(available) - $1))
    if ((rest > 0)); then fallocate -l $rest "$other/it"; fi
}
give_back() { echo 0 >/proc/sys/vm/nr_hugepages && rm -f "$other/it"; }
group=/sys/fs/cgroup/limited
mkdir "$group"
echo 0 >"$group/memory.swap.max" 2>/dev/null
oom_events() { awk '$1 ~ /^oom/ { sum += $2 } END { print sum }' "$group/memory.events"; }
inside() { (echo "$BASHPID" >"$group/cgroup.procs" && exec "$@"); }

# Writes HEAP's file to BUFFER, and closes it when $T/now is there. Not in Bash, where a child's end is a close, too.
mkfifo "$T/now"
# shellcheck disable=SC2016 # the dollars are Perl's
close_late() {
    perl -e 'open(my $from, "<", $ARGV[0]) && open(my $to, ">", $ARGV[1]) or die "open: $!";
        while (sysread($from, my $text, 1 << 20)) { syswrite($to, $text) == length($text) or die "write: $!" }
        open(my $now, "<", $ARGV[2]) or die "the word: $!";
        close($to) or die "close: $!\n"' "$disk/$1" "$2" "$T/now"
}

mount_it -o recycle=0 # which would serve those that are refused
total=$(df --output=size -B1 "$mnt" | tail -n 1)
for heap in system direct; do
    dir=$mnt/heaps/$heap

    check "$heap: nearly all that the mount may hold" fallocate -l $((total - 40 * mib)) "$dir/most"
    hold=$(used)
    run write $heap "$dir/y"
    says "$heap: the close of more than the rest" 1 'closing output file'
    says "$heap: says ENOSPC" 1 'No space left on device'
    check "$heap: status says whose limit it was" grep -q "exceed the mount's size" <<<"$(refused $heap)"
    equals "$heap: until there is a dma-buf it is not in df" "$(used)" "$hold"
    check "$heap: it keeps its bytes" cmp "$disk/$heap" "$dir/y"
    rm "$dir/most"
    check "$heap: the next close" close_again "$dir/y"
    check "$heap: makes the dma-buf" holds $heap "$dir/y"
    equals "$heap: which is in df" "$(used)" $size
    rm "$dir/y"

    # Written while there was memory, which others have taken at the close.
    close_late $heap "$dir/y" >"$T/late" 2>&1 &
    for _ in {1..300}; do [[ -e $dir/y && $(stat -c %s "$dir/y") == "$size" ]] && break; sleep 0.2; done
    leave $((100 * mib))
    # shellcheck disable=SC2016 # the dollar is the other shell's
    timeout 60 sh -c ': >"$1"' - "$T/now"
    wait $! && status=0 || status=$?
    out=$(<"$T/late")
    says "$heap: the close where others took the memory says ENOMEM" 12 'close: Cannot allocate memory'
    check "$heap: it keeps its bytes then, too" cmp "$disk/$heap" "$dir/y"
    give_back
    check "$heap: when they gave it back the next close" close_again "$dir/y"
    check "$heap: makes the dma-buf of it" holds $heap "$dir/y"
    rm "$dir/y"

    leave $((160 * mib))
    run dd if=/dev/zero of="$dir/y" bs=1M count=300 status=none
    says "$heap: a stream of writes ends with ENOMEM" 1 'Cannot allocate memory'
    check "$heap: before there is none" between "$(available)" $((16 * mib)) $((60 * mib))
    give_back
    check "$heap: it keeps what was written" cmp -n "$(stat -c %s "$dir/y")" /dev/zero "$dir/y"
    check "$heap: which is much" test "$(stat -c %s "$dir/y")" -ge $((32 * mib))
    rm "$dir/y"

    echo 60M >"$group/memory.max"
    run inside dd if=/dev/zero of="$dir/y" bs=1M count=100 status=none
    says "$heap: a writer whose cgroup has less gets ENOMEM" 1 'Cannot allocate memory'
    check "$heap: and keeps what was written" cmp -n "$(stat -c %s "$dir/y")" /dev/zero "$dir/y"
    check "$heap: but for the limit" between "$(stat -c %s "$dir/y")" $((16 * mib)) $((60 * mib))
    rm "$dir/y"
    equals "$heap: nothing is held" "$(used)" 0
done
check 'unmount' unmount_it

echo 70M >"$group/memory.max"
mkdir -p "$mnt"
check 'a mount in that cgroup' inside "$DMABUFFS" mount -o recycle=0 "$mnt"
daemon=$(jq .pid "$mnt/status")
for heap in system direct; do
    # What the one before held goes a little later than its name.
    for _ in {1..100}; do (($(<"$group/memory.current") < 55 * mib)) && break; sleep 0.2; done
    echo 70M >"$group/memory.max"
    run write $heap "$mnt/heaps/$heap/y"
    says "$heap: the daemon's cgroup has less than the close needs" 1 'Cannot allocate memory'
    check "$heap: status says so" grep -q memory.max <<<"$(refused $heap)"
    check "$heap: the bytes are kept" cmp "$disk/$heap" "$mnt/heaps/$heap/y"
    echo max >"$group/memory.max"
    check "$heap: with more, the next close" close_again "$mnt/heaps/$heap/y"
    check "$heap: makes the dma-buf in time" holds $heap "$mnt/heaps/$heap/y"
    rm "$mnt/heaps/$heap/y"
done
check 'it lives' kill -0 "$daemon"
check 'unmount it' unmount_it
echo max >"$group/memory.max"
equals 'nothing in the cgroup met the OOM killer' "$(oom_events)" 0
equals 'nor on the machine' "$(dmesg | grep -i 'out of memory\|killed process' | head -n 3)" ''

# Only root's mounts have passthrough: an ordinary user's writes come to the daemon, whose files the module makes.
chmod 666 /dev/fuse /dev/dmabuf_file /dev/dma_heap/system
chmod 755 "$T" "$disk"
install -d -o nobody "$T/his" "$disk/his"
mnt=$T/his
cp "$disk/system" "$disk/his/x" && chown nobody "$disk/his/x"
as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups env -u XDG_RUNTIME_DIR "$@"; }
check 'an ordinary user mounts' as_nobody "$DMABUFFS" mount --files d="$disk/his" "$mnt"
daemon=$(as_nobody jq .pid "$mnt/status")
sum=$size
for heap in system direct; do
    y=$mnt/heaps/$heap/y
    check "$heap: he copies in" as_nobody cp "$mnt/files/d/x" "$y"
    equals "$heap: by the kernel" "$(as_nobody jq -r '.transfers["kernel-direct"].bytes' "$mnt/status")" "$sum"
    # shellcheck disable=SC2016
    check "$heap: and out, and the same" as_nobody sh -c 'cp "$1" "$2" && cmp "$1" "$2" && rm "$2"' - "$y" "$mnt/files/d/back"
    ((sum += 2 * size))
    equals "$heap: without passthrough" "$(as_nobody jq -r .passthrough.state "$mnt/status")" off
    check "$heap: he writes it anew" as_nobody dd if="$disk/$heap" of="$y" bs=1M status=none
    # shellcheck disable=SC2016
    check "$heap: and appends" as_nobody sh -c 'printf tail >>"$1"' - "$y"
    { cat "$disk/$heap"; printf tail; } >"$disk/his/expected"
    check "$heap: all of it is there" as_nobody cmp "$disk/his/expected" "$y"
    check "$heap: he removes it" as_nobody rm "$y"
done
check 'he unmounts' as_nobody "$DMABUFFS" umount "$mnt"
umount "$other"
equals 'no dma-buf is left' "$(dmabufs)" "$before"
check 'the module goes' rmmod dmabuf_file
exit $failed
