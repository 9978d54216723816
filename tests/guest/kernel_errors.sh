#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The kernel module where the disk is full, frozen, failing or in use otherwise: what it counts is stored and right, no
# more than that is, and the next call meets the error.
# vm: --memory 2048 --scratch 1G
# timeout: 300
source "$(dirname "$0")/common.bash"

mib=$((1 << 20))
size=$((40 * mib))
source=$T/source got=$T/got
head -c $((3 * mib + 4096)) /dev/urandom >"$T/piece"
while (($(stat -c %s "$source" 2>/dev/null || echo 0) < size)); do cat "$T/piece" >>"$source"; done
truncate -s $size "$source"
move() { "$tools/module-move" "$@"; }
begins() { # NAME WORDS PATTERN
    # shellcheck disable=SC2053 # it is a pattern
    if [[ $2 == $3 ]]; then echo "ok - $1"; else echo "not ok - $1"; echo "# '$2', not '$3'"; failed=1; fi
}
count() { cut -d' ' -f2 <<<"$1"; }
ends() { # PID: within five seconds
    for _ in {1..50}; do kill -0 "$1" 2>/dev/null || return 0; sleep 0.1; done
    return 1
}
waits() { # PID: in the module
    for _ in {1..100}; do
        [[ $(<"/proc/$1/stack") == *'[dmabuf_file]'* ]] && return
        sleep 0.1
    done
    echo "# $(<"/proc/$1/stack")"
    return 1
}
mkdir "$disk"
clean_up() {
    fsfreeze -u "$disk" 2>/dev/null
    umount "$disk"
    dmsetup remove failing
} 2>/dev/null
trap clean_up EXIT
load_module

# Full.
for kind in ext4 xfs f2fs btrfs; do
    case $kind in ext4) options=(-F -m 0) ;; *) options=(-f) ;; esac
    if ! { mkfs.$kind "${options[@]}" /dev/vda >/dev/null 2>&1 && mount /dev/vda "$disk"; }; then
        echo "not ok - a file system for this test: $kind"
        exit 1
    fi
    fallocate -l $(($(df --output=avail -B1 "$disk" | tail -1) - 24 * mib)) "$disk/rest" || echo "# $kind: not filled"
    said=$(move --fill "$source" --to-file "$disk/out" 0:0:$size)
    first=$(count "$said") stored=$(count "$said")
    begins "$kind, full: less than asked, no error" "$said" 'ok *'
    check "$kind, full: what there is room for ($stored)" between "$stored" $((16 * mib)) $((size - 1))
    equals "$kind, full: the file is as long as that" "$(stat -c %s "$disk/out")" "$stored"
    for _ in {1..20}; do # btrfs may find a little more
        said=$(move --size $size --to-file "$disk/out" "0:$stored:$((size - stored))")
        [[ $said == ok* ]] || break
        stored=$((stored + $(count "$said")))
    done
    begins "$kind, full: the next call meets the error" "$said" 'ENOSPC 0*'
    equals "$kind, full: the file is as long as what was counted" "$(stat -c %s "$disk/out")" "$stored"
    umount "$disk"
    mount /dev/vda "$disk"
    check "$kind, full: what was stored first is right" cmp -n "$first" "$disk/out" "$source"

    if [[ $kind == xfs || $kind == f2fs ]]; then umount "$disk"; continue; fi

    # Frozen.
    rm "$disk/rest"
    truncate -s $size "$disk/out"
    fsfreeze -f "$disk"
    "$tools/module-move" --fill "$source" --to-file "$disk/out" 0:0:$size >"$T/said" &
    writer=$!
    "$tools/module-move" --to-file "$disk/out" 0:0:4096 &
    killed=$!
    check "$kind, frozen: a write waits" waits $writer
    begins "$kind, frozen: a read does not" "$(move "$disk/out" 0:0:4096)" 'ok 4096*'
    check "$kind, frozen: the other waits, too" waits $killed
    kill -TERM $killed
    check "$kind, frozen: and ends by a signal" ends $killed
    check "$kind, frozen: the first waits on" kill -0 $writer
    fsfreeze -u "$disk"
    check "$kind, thawed: it goes on" ends $writer
    begins "$kind, thawed: all is stored" "$(<"$T/said")" "ok $size*"
    check "$kind, thawed: and right" cmp "$disk/out" "$source"

    umount "$disk"
done

# Failing: one MiB in the third piece of a file; then every write.
modprobe -q dm-mod dm-flakey
sectors=$((512 * mib / 512))
whole="0 $sectors linear /dev/vda 0"
becomes() { dmsetup suspend --noflush --nolockfs failing && dmsetup reload failing --table "$1" && dmsetup resume failing; }
dmsetup create failing --table "$whole"
# Not a journal's business: with one, a failed write may turn the file system read-only.
mkfs.ext4 -q -F -O ^has_journal /dev/mapper/failing && mount -o errors=continue /dev/mapper/failing "$disk"
dd if="$source" of="$disk/file" bs=4M oflag=direct status=none
# A swap file.
head -c $((8 * mib)) /dev/zero >"$disk/swap"
chmod 600 "$disk/swap"
mkswap "$disk/swap" >/dev/null
check 'a swap file in use' swapon "$disk/swap"
begins 'it is not written' "$(move --to-file "$disk/swap" 0:0:65536)" 'ETXTBSY 0*'
swapoff "$disk/swap"
begins 'out of use it is written' "$(move --to-file "$disk/swap" 0:0:65536)" 'ok 65536*'
bad=$((36 * mib))
at=$(filefrag -b512 -v "$disk/file" | awk -F'[:. ]+' -v want=$((bad / 512)) '
    $2 ~ /^[0-9]+$/ && want >= $3 && want <= $4 { print $5 + want - $3; exit }')
check 'the disk breaks' becomes "0 $at linear /dev/vda 0
$at 2048 error
$((at + 2048)) $((sectors - at - 2048)) linear /dev/vda $((at + 2048))"
said=$(move --dump "$got" "$disk/file")
done_=$(count "$said")
begins 'a read to where the disk fails: less than asked, no error' "$said" 'ok * direct sg'
check "what could be read before ($done_)" between "$done_" $((16 * mib)) $bad
check 'which is right' cmp -n "$done_" "$got" "$source"
begins 'the next call meets the error' "$(move "$disk/file" "0:$done_:$((size - done_))")" 'EIO 0*'
begins 'a LOAD fails' "$(move --heap load "$disk/file")" 'EIO *'
equals 'and leaves no dma-buf' "$(dmabufs)" 0
tail -c $mib "$source" | cat - "$source" | head -c $size >"$T/new"
said=$(move --fill "$T/new" --to-file "$disk/file")
done_=$(count "$said")
begins 'a write to where the disk fails: less than asked, no error' "$said" 'ok * direct sg'
check "what could be written before ($done_)" between "$done_" $((16 * mib)) $bad
begins 'the next call meets the error' "$(move --to-file "$disk/file" "0:$done_:$((size - done_))")" 'EIO 0*'
check 'the disk is well again' becomes "$whole"
drop_caches
check 'what was counted is stored' cmp -n "$done_" "$disk/file" "$T/new"
check 'every write fails from here on' becomes "0 $sectors flakey /dev/vda 0 0 60 1 error_writes"
begins 'a file that would grow: nothing is stored' "$(move --to-file "$disk/file" 0:$size:$((32 * mib)))" 'EIO 0*'
equals 'and it does not grow' "$(stat -c %s "$disk/file")" $size
check 'the disk is well once more' becomes "$whole"
umount "$disk"

# In use: by a dma-buf alone, its maker's device closed.
mkfifo "$T/stay"
"$tools/module-move" --heap own --size $((3 * mib)) --name 'a name' --hold /dev/vda <"$T/stay" >"$T/held" &
holder=$!
exec 3>"$T/stay"
for _ in {1..50}; do [[ -s $T/held ]] && break; sleep 0.1; done
begins 'a dma-buf of the module' "$(<"$T/held")" 'ok *'
info=$(grep -l '^exp_name:.*dmabuf_file' /proc/$holder/fdinfo/*) || echo "# grep ended with $?"
[[ $info ]] || { ls -l /proc/$holder/exe /proc/$holder/fd && grep -r . /proc/$holder/fdinfo; } 2>&1 | sed 's/^/# /'
equals 'its name and size in fdinfo' "$(awk '/^(size|exp_name|name):/ { $1 = $1; print }' "$info" | paste -sd' ')" \
    "size: $((3 * mib)) exp_name: dmabuf_file name: a name"
equals 'and in the list of all dma-bufs' "$(awk '$5 == "dmabuf_file" { print $1, $5, $7, $8 }' /sys/kernel/debug/dma_buf/bufinfo)" \
    "$(printf '%08d' $((3 * mib))) dmabuf_file a name"
run rmmod dmabuf_file
says 'the module stays while it is there' 1 'in use'
exec 3>&-
wait $holder
equals 'no dma-buf is left' "$(dmabufs)" 0
check 'the module goes' rmmod dmabuf_file
exit $failed
