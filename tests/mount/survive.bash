# SPDX-License-Identifier: MIT
# Sourced by the tests of what outlives the daemon: a service manager, and what a mount holds.
service_manager=$(realpath "${BASH_SOURCE[0]%/*}/../lib/service-manager")
manage() { # ROOM DMABUFFS-MOUNT-OPTION...: a service manager, which stores so many descriptors
    rm -f "$T/orders" "$T/answers"
    mkfifo "$T/orders" "$T/answers"
    python3 "$service_manager" "$1" "$DMABUFFS" mount -f "${@:2}" \
        <"$T/orders" >"$T/answers" 2>>"$T/log" &
    manager_pid=$!
    exec {orders}>"$T/orders" {answers}<"$T/answers"
}
unmanage() { exec {orders}>&- {answers}<&-; wait "$manager_pid"; }
order() { # WORD...: sets answer
    answer='none'
    # shellcheck disable=SC2034 # it is for who sources this
    echo "$*" >&"$orders" && read -r -t 180 -u "$answers" answer
}
stored() { order count; echo "$answer"; }
await_stored() { # COUNT: memory goes when the kernel has forgotten its file
    for _ in {1..150}; do [[ $(stored) == "$1" ]] && break; sleep 0.1; done
}
logged() { grep -c -- "$1" "$T/log"; }
# What stat(2) tells of all that is in DIR, bytes, link targets, attributes; of the times when bytes and links were changed.
state_of() { # DIR
    (cd "$1" && {
        find . -mindepth 1 -printf '%p|%y|%m|%U|%G|%s|%n|%l|' \( -type d -printf '\0' -o -printf '%T@\0' \) | sort -z
        find . -type f -print0 | sort -z | xargs -0 -r sha256sum -z
        find . -type f -print0 | sort -z | xargs -0 -r getfattr -d -m- --absolute-names
    } 2>&1 | tr '\0' '\n')
}
