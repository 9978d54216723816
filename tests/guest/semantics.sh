#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What docs/semantics.md promises, on real dma-bufs: each claim is also looked at past the mount, in the dma-buf's
# own bytes.
# vm: --memory 2048 --scratch 2G
# timeout: 440
source "$(dirname "$0")/common.bash"

make_disk
mib=$((1 << 20))
marker=OLD-BYTES-OF-SOMEBODY
fill() { yes "$marker" | head -c "$1"; }
repeated() { # COUNT FILE
    local files=() i
    for ((i = 0; i < $1; i++)); do files+=("$2"); done
    cat "${files[@]}"
}
# The same bytes in the file, the mount and the dma-buf, which has zeros behind them up to its capacity.
holds() { # FILE BUFFER...
    local file=$1 wrong=0 buffer inode capacity size
    shift
    size=$(stat -c %s "$file")
    while read -r buffer inode capacity; do
        cmp "$file" "$buffer" || wrong=1
        ((size > 0)) || continue # there need not be one
        cmp <(cat "$file"; head -c $((capacity - size)) /dev/zero) <("$tools/dmabuf-peek" "$daemon" "$inode") || wrong=1
    done < <("$DMABUFFS" info --json "$@" | jq -r '.[] | "\(.path) \(.inode) \(.capacity)"')
    return $wrong
}

recycled() { jq .memory.recycled "$mnt/status"; }
until_kept() { # [BYTES]: what is closed is kept a moment later
    for _ in {1..50}; do (($(recycled) >= ${1:-1})) && break; sleep 0.1; done
    recycled
}
mount_it --files d="$disk"
for heap in udmabuf system; do
    dir=$mnt/heaps/$heap
    wrong=''
    for size in 0 1 511 4095 4097 $((2 * mib - 1)) $((2 * mib)) $((2 * mib + 1)); do
        head -c "$size" /dev/urandom >"$disk/s"
        cp "$mnt/files/d/s" "$dir/inside"
        cp "$disk/s" "$dir/outside"
        cat "$disk/s" >"$dir/cat"
        "$DMABUFFS" cp --no-progress "$disk/s" "$dir/own"
        holds "$disk/s" "$dir"/{inside,outside,cat,own} || wrong+=" $size"
        cp "$dir/inside" "$mnt/files/d/back" && cmp "$disk/s" "$disk/back" || wrong+=" back:$size"
        rm "$dir"/* "$disk/back"
    done
    equals "$heap: every size arrives by every way, in the dma-buf too, with zeros behind it" "$wrong" ''

    # An ordinary file beside it goes through the same.
    head -c 300000 /dev/urandom >"$disk/s"
    cp "$disk/s" "$T/model"
    cp "$mnt/files/d/s" "$dir/b"
    wrong=''
    for place in '1 0' '511 4096' '4097 4095' '70001 65535' '300 299900' '5000 350000'; do
        read -r length at <<<"$place"
        head -c "$length" /dev/urandom >"$T/piece"
        for file in "$T/model" "$dir/b"; do
            dd if="$T/piece" of="$file" bs="$length" oflag=seek_bytes seek="$at" conv=notrunc status=none
        done
        holds "$T/model" "$dir/b" || wrong+=" $length@$at"
        cmp <(dd if="$dir/b" bs="$length" iflag=skip_bytes skip="$at" count=1 status=none) "$T/piece" || wrong+=" read:$length@$at"
    done
    equals "$heap: writes and reads at odd offsets" "$wrong" ''
    wrong=''
    for size in 100000 99999 300001 4096 8193 1000000 1; do
        truncate -s "$size" "$T/model" "$dir/b"
        holds "$T/model" "$dir/b" || wrong+=" $size"
    done
    equals "$heap: cut and made longer it reads zeros where nothing was written" "$wrong" ''
    printf 'more' | tee -a "$T/model" >>"$dir/b"
    printf 'and more' | tee -a "$T/model" >>"$dir/b"
    check "$heap: append" holds "$T/model" "$dir/b"
    rm "$dir/b"

    # Memory that held something else. Lengths that take the same number of pages, or it would not be used again.
    fill $((8 * mib)) >"$dir/old"
    cp "$dir/old" "$mnt/files/d/old"
    rm "$dir/old"
    cp "$mnt/files/d/old" "$dir/old" && rm "$dir/old" # by a load, too: that is what is kept for the next one
    head -c $((8 * mib)) /dev/urandom >"$disk/random"
    head -c $((8 * mib - 777)) "$disk/random" >"$disk/short"
    kept=$(until_kept)
    check "$heap: the memory of a removed buffer is kept" test "$kept" -ge $((8 * mib))
    cp "$mnt/files/d/short" "$dir/new"
    check "$heap: a load of as many pages is given it" test "$(recycled)" -le $((kept - 8 * mib))
    clean_of_old() { [[ -s $1 ]] && ! grep -q "$marker" "$1" && ! peek "$1" | grep "$marker" >/dev/null; }
    check "$heap: a file loaded into memory of a removed one has its own bytes" holds "$disk/short" "$dir/new"
    truncate -s $((8 * mib)) "$dir/new"
    check "$heap: made longer, none of the old ones come to light" clean_of_old "$dir/new"
    fill $((8 * mib)) >"$dir/new"
    cp "$disk/short" "$dir/new"
    check "$heap: overwritten by a shorter file it is that file" holds "$disk/short" "$dir/new"
    truncate -s 100 "$dir/new" && truncate -s $((8 * mib)) "$dir/new"
    check "$heap: cut to almost nothing and made longer, it shows none of them either" clean_of_old "$dir/new"
    rm "$dir/new"

    # A load into such memory that is stopped half-way (one that fails: faults_disk_error.sh).
    echo 512 >$size_limit
    repeated 24 "$disk/old" >"$disk/long_old" # 192 MiB
    repeated 24 "$disk/random" >"$disk/long"
    cp "$mnt/files/d/long_old" "$dir/old" && rm "$dir/old"
    kept=$(until_kept $((192 * mib)))
    # What a cp leaves that a signal ends after its first piece: the copy of all was asked for, and part of it done.
    # shellcheck disable=SC2016 # the dollars are Perl's; 326 is copy_file_range on x86-64
    read -r moved left < <(perl -e 'open(my $in, "<", $ARGV[0]) && open(my $out, "+>", $ARGV[1]) or die "$!";
        my $moved = syscall(326, fileno($in), 0, fileno($out), 0, 192 << 20, 0);
        # No other program: its start would close its copy of the descriptor, which ends the load.
        open(my $status, "<", "$ARGV[2]/status") or die "$!";
        my ($left) = join("", <$status>) =~ /"recycled": *(\d+)/;
        print "$moved $left\n"' "$mnt/files/d/long" "$dir/new" "$mnt")
    check "$heap: a load is stopped half-way ($moved bytes)" between "$moved" 1 $((191 * mib))
    check "$heap: it had memory of a removed buffer" test "$left" -le $((kept - 192 * mib))
    equals "$heap: it is as long as what it stored" "$(stat -c %s "$dir/new")" "$moved"
    check "$heap: it shows what it stored" cmp -n "$(stat -c %s "$dir/new")" "$dir/new" "$disk/long"
    check "$heap: and none of the old bytes" clean_of_old "$dir/new"
    truncate -s $((192 * mib)) "$dir/new"
    check "$heap: nor when made longer" clean_of_old "$dir/new"
    rm -f "$dir"/* "$disk"/{old,long_old,long,random}

    head -c $mib /dev/urandom >"$disk/s"
    cp "$mnt/files/d/s" "$dir/fresh"
    printf 'by a device' >"$T/device"
    # By one descriptor, before and after: what it had read once must not be shown again.
    # shellcheck disable=SC2016 # the dollars are Perl's
    seen=$(perl -e 'open(my $file, "<", shift) or die "$!";
        sub look { sysseek($file, 5000, 0); sysread($file, my $bytes, 11); return $bytes }
        my $before = look();
        system(@ARGV) == 0 or die "poke";
        my $after = look();
        print $after eq $before ? "the old bytes" : $after' \
        "$dir/fresh" "$tools/dmabuf-poke" "$daemon" "$(about "$dir/fresh" inode)" 5000 <"$T/device")
    equals "$heap: a read sees what was written to the dma-buf elsewhere" "$seen" 'by a device'
    cp "$dir/fresh" "$mnt/files/d/fresh"
    equals "$heap: a copy to disk, too" "$(dd if="$disk/fresh" bs=11 iflag=skip_bytes skip=5000 count=1 status=none)" \
        'by a device'
    before=$(about "$dir/fresh" inode)
    head -c $mib /dev/urandom | dd of="$dir/fresh" bs=64K iflag=fullblock conv=notrunc status=none
    equals "$heap: written in place it stays the same dma-buf" "$(about "$dir/fresh" inode)" "$before"
    equals "$heap: whose name is the file's" "$(about "$dir/fresh" name)" fresh
    rm "$dir/fresh" "$disk/fresh"
done

# Huge pages and 4 KiB pages in one dma-buf.
check 'huge pages for the test' huge_pages 8
dir=$mnt/heaps/udmabuf
wrong=''
for size in $((3 * mib)) $((5 * mib)) $((5 * mib + 4097)); do
    head -c "$size" /dev/urandom >"$disk/s"
    cp "$mnt/files/d/s" "$dir/inside"
    cat "$disk/s" >"$dir/cat"
    holds "$disk/s" "$dir"/{inside,cat} || wrong+=" $size"
    for buffer in inside cat; do
        [[ $(about "$dir/$buffer" huge_bytes) == $((size - size % (2 * mib))) ]] || wrong+=" pages:$buffer:$size"
        [[ $(about "$dir/$buffer" capacity) -lt $((size + 4096)) ]] || wrong+=" capacity:$buffer:$size"
    done
    cp "$dir/inside" "$mnt/files/d/back" && cmp "$disk/s" "$disk/back" || wrong+=" back:$size"
    rm "$dir"/*
done
equals 'udmabuf joins huge pages and 4 KiB pages without losing a byte or memory' "$wrong" ''
check 'no huge pages from here on' huge_pages 0

# A device that never finishes.
for heap in udmabuf system; do
    dir=$mnt/heaps/$heap
    cp "$mnt/files/d/s" "$dir/stuck"
    cp "$mnt/files/d/short" "$dir/free"
    rm -f "$T/fence"
    "$tools/dmabuf-fence" "$daemon" "$(about "$dir/stuck" inode)" 8 >"$T/fence" 2>&1 &
    fence=$!
    for _ in {1..50}; do grep -qs busy "$T/fence" && break; sleep 0.1; done
    start=$SECONDS
    cat "$dir/stuck" >"$T/got" 2>"$T/said" &
    reader=$!
    sleep 0.5
    check "$heap: beside a read that waits for a device, ls answers" quiet timeout 2 ls -l "$dir"
    check "$heap: and other buffers are read" timeout 4 cmp "$disk/short" "$dir/free"
    check "$heap: it still waits" kill -0 $reader
    wait $reader
    equals "$heap: then it fails" "$? $(cut -d: -f3 <"$T/said")" '1  Input/output error'
    check "$heap: after some 5 seconds" between $((SECONDS - start)) 4 7
    kill $fence
    wait $fence 2>/dev/null
    check "$heap: when the device is done, it is read" cmp "$disk/s" "$dir/stuck"
    rm "$dir"/*
done

check 'unmount' unmount_it
exit $failed
