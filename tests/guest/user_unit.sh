#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The unit of a user, under a service manager of the user's own, as a login has one: systemctl --user start.
source "$(dirname "$0")/common.bash"
user=65534 run=$T/run cgroup=/sys/fs/cgroup/user_unit
home=$T/home
mkdir -p "$run" "$home/.config/systemd/user" /run/systemd/system # the last: systemd runs here, as it would where there is a login
sed "s,^ExecStart=[^ ]*,ExecStart=$DMABUFFS," "$DMABUFFS_BUILD/systemd/user/dmabuffs@.service" >"$home/.config/systemd/user/dmabuffs@.service"
mkdir -p "$cgroup/inner"
chown -R "$user:$user" "$run" "$home" "$cgroup"
chmod 0755 "$T"
chmod 0700 "$run"
chmod 0666 /dev/fuse
as_user() {
    setpriv --reuid "$user" --regid "$user" --clear-groups \
        env -i HOME="$home" PATH="$PATH" XDG_RUNTIME_DIR="$run" "$@"
}
(
    echo "$BASHPID" >"$cgroup/inner/cgroup.procs"
    as_user /lib/systemd/systemd --user --log-target=console --unit=basic.target
) >"$T/console" 2>&1 &
manager=$!
for _ in {1..300}; do as_user systemctl --user show -P Version >"$T/version" 2>/dev/null && break; sleep 0.2; done
echo "# systemd $(<"$T/version")"
mnt=$home/buf
unit=dmabuffs@$(systemd-escape --path "$mnt").service
property() { as_user systemctl --user show -P "$1" "$unit"; }
check 'the unit is wanted' as_user systemctl --user add-wants basic.target "$unit"
check 'the unit starts' as_user systemctl --user start "$unit"
equals 'and says what it does' "$(property StatusText)" "mounted at $mnt"
head -c 1000000 /dev/urandom >"$T/bytes"
chmod 0644 "$T/bytes"
check 'a file goes into a buffer' as_user cp "$T/bytes" "$mnt/heaps/memfd/copied"
check 'the unit starts anew' as_user systemctl --user restart "$unit"
if (($(grep -o '^[0-9]*' "$T/version") >= 254)); then # older ones store no descriptors of a unit that is stopped
    check 'and the buffer is there' as_user cmp "$T/bytes" "$mnt/heaps/memfd/copied"
fi
check 'it stops' as_user systemctl --user stop "$unit"
equals 'and nothing is mounted' "$(grep -c " $mnt " /proc/self/mounts)" 0
((failed == 0)) || tail -n 40 "$T/console" | sed 's/^/# /'
as_user systemctl --user exit
wait "$manager"
rmdir /run/systemd/system
exit "$failed"
