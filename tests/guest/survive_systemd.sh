#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The unit, under systemd itself: the first process of a container in the guest. However the daemon ends, everything is
# there again.
# vm: --scratch 512M
# guest: debian13
# timeout: 900
source "$(dirname "$0")/common.bash"
source "$(dirname "$0")/../mount/survive.bash"
unit=dmabuffs@$(systemd-escape --path "$mnt").service
property() { systemctl show -P "$1" "$unit"; }
inside() {
    local name how count pid
    # As `systemctl enable` does: what no target wants is forgotten when it is stopped, with all it stores.
    check 'the unit is wanted' systemctl add-wants alone.target "$unit"
    check 'the unit starts' systemctl start "$unit"
    equals 'and says what it does' "$(property StatusText)" "mounted at $mnt"
    for name in memfd system udmabuf direct; do
        mkdir "$mnt/heaps/$name/dir" && cp "$T/bytes" "$mnt/heaps/$name/dir/copied"
        "$DMABUFFS" cp --no-progress "$T/bytes" "$mnt/heaps/$name/loaded"
        chown 12:34 "$mnt/heaps/$name/loaded" && chmod 0640 "$mnt/heaps/$name/loaded"
        ln -s loaded "$mnt/heaps/$name/link"
    done
    facts() { "$DMABUFFS" info --json "$mnt"/heaps/*/{loaded,dir/copied} | jq -c '.[] | [.path, .size, .inode, .exporter]'; }
    facts >"$T/facts"
    state_of "$mnt/heaps" | grep -v '^\./[a-z]*|' >"$T/state"
    for how in kill kill restart stop-start; do
        count=$(property NRestarts) pid=$(property MainPID)
        case $how in
        kill)
            systemctl kill -s KILL "$unit"
            for _ in {1..600}; do [[ $(property NRestarts) == "$count" ]] || break; sleep 0.2; done
            for _ in {1..600}; do [[ $(property ActiveState) == active ]] && break; sleep 0.2; done ;;
        restart) systemctl restart "$unit" ;;
        stop-start) systemctl stop "$unit" && equals 'stopped it keeps its descriptors' "$(property SubState)" dead-resources-pinned && systemctl start "$unit" ;;
        esac
        equals "after $how it is active" "$(property ActiveState)" active
        check "after $how it is another process" test "$(property MainPID)" != "$pid"
        facts >"$T/facts now"
        state_of "$mnt/heaps" | grep -v '^\./[a-z]*|' >"$T/state now"
        check "after $how: the same dma-bufs" diff "$T/facts" "$T/facts now"
        check "after $how: names, owners, modes and bytes" diff "$T/state" "$T/state now"
        equals "after $how: as many descriptors are stored as status says" "$(property NFileDescriptorStore)" "$(jq .kept.descriptors "$mnt/status")"
    done
    find "$mnt"/heaps/*/ -mindepth 1 -delete
    for _ in {1..50}; do [[ $(property NFileDescriptorStore) == 1 ]] && break; sleep 0.2; done
    equals 'what is removed is stored no more' "$(property NFileDescriptorStore)" 1
    systemctl stop "$unit"
    equals 'and no dma-buf is left' "$(dmabufs)" 0
    exit "$failed"
}
if [[ ${1-} == inside ]]; then inside; fi

load_module
head -c 3000000 /dev/urandom >"$T/bytes"
mkdir -p "$mnt" /etc/systemd/system/dmabuffs@.service.d
sed "s,^ExecStart=[^ ]*,ExecStart=$DMABUFFS," "$DMABUFFS_BUILD/systemd/system/dmabuffs@.service" >/etc/systemd/system/dmabuffs@.service
# Nothing else of a system.
printf '[Unit]\nDefaultDependencies=no\nStartLimitIntervalSec=0\n' >/etc/systemd/system/dmabuffs@.service.d/alone.conf
printf '[Unit]\nDefaultDependencies=no\nAllowIsolate=yes\n' >/etc/systemd/system/alone.target
mkdir -p /sys/fs/cgroup/box
echo "$BASHPID" >/sys/fs/cgroup/box/cgroup.procs
# shellcheck disable=SC2016 # the dollars are the inner shell's
unshare --pid --fork --kill-child --mount --cgroup -- bash -c '
    mount -t proc proc /proc && mount -t cgroup2 cgroup2 /sys/fs/cgroup &&
        exec env -i container=other PATH="$PATH" /lib/systemd/systemd --system --log-target=console --unit=alone.target' >"$T/console" 2>&1 &
box=$!
init=''
for _ in {1..300}; do
    init=$(pgrep -P "$box") && nsenter -t "$init" -m -p -C -- systemctl show -P Version >"$T/version" 2>/dev/null && break
    sleep 0.2
done
echo "# systemd $(<"$T/version")"
nsenter -t "$init" -m -p -C -- "$0" inside
status=$?
((status == 0)) || tail -n 40 "$T/console" | sed 's/^/# /'
kill -s KILL "$box" # Debian 13's unshare ignores SIGTERM while its child runs
wait "$box"
exit "$status"
