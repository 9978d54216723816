#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `dmabuffs bench` with real dma-bufs and the kernel module: every row runs, and moves the right bytes by the path it names.
# vm: --memory 4096 --scratch 2G
# timeout: 900
source "$(dirname "$0")/common.bash"

make_disk
load_module
echo 2048 >$size_limit
check 'huge pages for the rows of hugetlb' huge_pages 64
into_json() { "$@" >"$T/json"; }
check 'bench of 64 MiB, both ways' into_json "$DMABUFFS" bench --create 64M --write --runs 1 --json "$disk/x"
shown() { jq -r "$1" "$T/json"; }
equals 'no row failed' "$(shown '[.rows[] | select(.error) | "\(.name): \(.error)"] | join("; ")')" ''
lacks=ours-memfd-recycled # memfd keeps no memory
command -v fio >/dev/null || lacks="fio-read fio-write $lacks"
equals 'each row can run here' "$(shown '[.not_here[].name] | sort | join(" ")')" "$lacks"
equals 'all of the lists ran' "$(shown '[.rows[] | select(.list_name).list_name] | sort | join(", ")')" \
    'dmabuf buffer read, dmabuf buffer write, memfd direct read, memfd direct write, udmabuf buffer read, udmabuf buffer sendfile, udmabuf direct read, udmabuf direct sendfile, udmabuf direct splice, udmabuf direct write'
equals 'all were cold' "$(shown '[.rows[].cold | select(. != null)] | all')" true
equals 'a changed byte was noticed' "$(shown '.controls | "\(.read) \(.write)"')" 'true true'
for row in ours-system-first ours-system-write ours-direct-first cp-system; do
    equals "$row goes by the module" "$(shown ".rows[] | select(.name == \"$row\").path")" kernel-direct
done
equals 'ours-udmabuf-first goes into its pages' "$(shown '.rows[] | select(.name == "ours-udmabuf-first").path')" pinned-direct
check 'in pieces' quiet "$DMABUFFS" bench --chunks 16x4M --write --runs 1 --rows 'udmabuf-*' --rows 'dmabuf-*' --rows 'ours-*' "$disk/x"
exit "$failed"
