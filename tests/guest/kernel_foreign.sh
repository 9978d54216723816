#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# dma-bufs of exporters that the kernel module does not know: used where their kernel mapping and their table name the
# same memory, refused with EOPNOTSUPP else, and then a mount copies. (tests/kernel/module; graphics cards of QEMU)
# vm: --memory 2048 --scratch 512M --device bochs-display --device qxl --device virtio-gpu-pci
# timeout: 200
source "$(dirname "$0")/common.bash"

make_disk
size=$(((2 << 20) + 4096))
head -c $size /dev/urandom >"$disk/x"
sync
move() { "$tools/module-move" "$@"; }
load_module
check 'the module with other exporters loads' insmod "$(dirname "$DMABUFFS_BUILD")/kernel/$(uname -r)/test/dmabuf_foreign.ko"
before=$(dmabufs)

equals 'mapping and table agree: used' "$(move --heap agree --direct --dump "$T/got" "$disk/x")" "ok $size direct vmap"
check 'every byte is in its place' cmp "$T/got" "$disk/x"
equals 'the other way, too' "$(move --heap agree --direct --fill "$disk/x" --to-file "$disk/out" 0:0:$size)" "ok $size direct vmap"
check 'with every byte' cmp "$disk/out" "$disk/x"
for heap in reversed iomem no_vmap no_pages no_attach system_no_pages system_half drm_no_table; do
    equals "$heap: refused" "$(move --heap $heap "$disk/x")" 'EOPNOTSUPP 0'
    equals "$heap: the other way, too" "$(move --heap $heap --to-file "$disk/y" 0:0:$size)" 'EOPNOTSUPP 0'
done
equals 'no_access: the error of the exporter' "$(move --heap no_access "$disk/x")" 'EIO 0'

# Graphics cards: memory of the card, of which bochs and qxl tell nothing, and system memory.
modprobe -q -a bochs qxl virtio-gpu
for card in /dev/dri/card*; do
    driver=$(basename "$(readlink "/sys/class/drm/${card##*/}/device/driver")")
    case $driver in
    bochs*) # its buffers are in system memory since 6.14
        wanted='EOPNOTSUPP 0'
        if [[ $(modinfo -F depends bochs) != *vram* ]]; then wanted="ok $size direct vmap"; fi ;;
    qxl) wanted='EOPNOTSUPP 0' ;;
    virtio*) wanted="ok $size direct vmap" ;;
    *) continue ;;
    esac
    rm -f "$T/got"
    equals "$driver: $wanted" "$(move --heap "$card" --dump "$T/got" "$disk/x" 0:0:$size)" "$wanted"
    if [[ $wanted == ok* ]]; then check "$driver: every byte is in its place" cmp -n $size "$T/got" "$disk/x"; fi
done

# A mount finds another way.
mount_it --files d="$disk"
for heap in agree iomem reversed; do
    if [[ $heap == agree ]]; then path=kernel-direct; else path=bounce-direct; fi
    run "$DMABUFFS" cp --json "$disk/x" "$mnt/heaps/$heap/x"
    equals "mount, $heap: in by $path" "$(jq -c .paths <<<"$out")" "{\"$path\":$size}"
    check "mount, $heap: and right" cmp "$disk/x" "$mnt/heaps/$heap/x"
    run "$DMABUFFS" cp --json "$mnt/heaps/$heap/x" "$disk/back"
    equals "mount, $heap: out by $path" "$(jq -c .paths <<<"$out")" "{\"$path\":$size}"
    check "mount, $heap: and right on the disk" cmp "$disk/x" "$disk/back"
    rm "$mnt/heaps/$heap/x" "$disk/back"
done
check 'unmount' unmount_it
equals 'no dma-buf is left' "$(dmabufs)" "$before"
check 'the modules go' rmmod dmabuf_foreign dmabuf_file
exit $failed
