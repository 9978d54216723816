#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# dma-bufs of exporters that the kernel module does not know, or whose memory is not as it has to be, are refused with
# EOPNOTSUPP, and then a mount copies. (tests/kernel/module; graphics cards of QEMU)
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

# Nothing but the exporter's name and its memory decides.
equals 'a known exporter: used' "$(move --heap system_moves --direct --dump "$T/got" "$disk/x")" "ok $size direct sg"
check 'every byte is in its place' cmp "$T/got" "$disk/x"
equals 'the other way, too' "$(move --heap system_moves --direct --fill "$disk/x" --to-file "$disk/out" 0:0:$size)" \
    "ok $size direct sg"
check 'with every byte' cmp "$disk/out" "$disk/x"
for heap in unknown system_module drm_moves system_no_{attach,pages,references} system_half system_short_pages; do
    equals "$heap: refused" "$(move --heap "$heap" "$disk/x")" 'EOPNOTSUPP 0'
    equals "$heap: the other way, too" "$(move --heap "$heap" --to-file "$disk/y" 0:0:$size)" 'EOPNOTSUPP 0'
done
equals 'system_no_access: the error of the exporter' "$(move --heap system_no_access "$disk/x")" 'EIO 0'
T=$disk check 'files over such dma-bufs' "$tools/kernel-tests" '[foreign]'

# Graphics cards: memory of the card, of which bochs and qxl tell nothing, and system memory, which is used where the
# CPU sees it through its cache in every mapping: on x86.
if [[ $(uname -m) == x86_64 ]]; then of_system_memory="ok $size direct sg"; else of_system_memory='EOPNOTSUPP 0'; fi
modprobe -q -a bochs qxl virtio-gpu
for card in /dev/dri/card*; do
    driver=$(basename "$(readlink "/sys/class/drm/${card##*/}/device/driver")")
    case $driver in
    bochs* | qxl) wanted='EOPNOTSUPP 0' ;;
    virtio* | vgem) wanted=$of_system_memory ;;
    *) continue ;;
    esac
    rm -f "$T/got"
    equals "$driver: $wanted" "$(move --heap "$card" --dump "$T/got" "$disk/x" 0:0:$size)" "$wanted"
    if [[ $wanted == ok* ]]; then check "$driver: every byte is in its place" cmp -n $size "$T/got" "$disk/x"; fi
done

# A mount finds another way.
mount_it --files d="$disk"
for heap in system_moves unknown system_no_references; do
    if [[ $heap == system_moves ]]; then path=kernel-direct; else path=bounce-direct; fi
    drop_caches # what is in the page cache is copied from there
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
