#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `dmabuffs doctor` on the machine at hand: its form, and that it changes nothing unless asked.
set -uo pipefail
[[ -x $DMABUFFS ]] || exit 1

failed=0
check() { # NAME COMMAND...: the command must succeed
    local name=$1
    shift
    if "$@"; then echo "ok - $name"; else echo "not ok - $name"; failed=1; fi
}
json_has() { jq -e "$1" "$T/json" >/dev/null; }
settings() { # what --fix would touch
    cat /proc/sys/vm/nr_overcommit_hugepages /sys/module/udmabuf/parameters/* 2>/dev/null
    stat -c '%a %U:%G %n' /dev/fuse /dev/udmabuf /dev/dma_heap/* 2>/dev/null
}
before=$(settings)
status=0
"$DMABUFFS" doctor --json >"$T/json" || status=$?
direct=$(jq .direct "$T/json")
check 'the JSON has checks, heaps and direct' \
    json_has '(.checks | length > 5) and (.heaps | length > 0) and (.direct | type == "boolean")'
check 'each check is ok, warn or missing' \
    json_has 'all(.checks[]; .state == "ok" or .state == "warn" or .state == "missing")'
check 'the exit status says whether a direct path is there' \
    [ "$status" == "$([[ $direct == true ]] && echo 0 || echo 1)" ]
check 'a mount can be made here, as this suite does' json_has '.mount and any(.checks[]; .name == "mount" and .state == "ok")'
tried=0
"$DMABUFFS" exec -- true 2>"$T/err" || tried=$?
check 'it says whether `dmabuffs exec` works' [ "$(jq -r '.checks[] | select(.name == "exec").state' "$T/json")" == "$( ((tried)) && echo warn || echo ok)" ]
check 'the memfd heap is there and is no dma-buf' \
    json_has 'any(.heaps[]; .name == "memfd" and .usable and (.is_dmabuf | not))'
"$DMABUFFS" doctor >"$T/text"
check 'no line but a fix is wider than 80 columns' bash -c "! grep -v 'fix: ' '$T/text' | grep -qE '.{81}'"
check 'no colours go into a file' bash -c "! grep -q $'\033' '$T/text'"
check 'it changes nothing' [ "$(settings)" == "$before" ]
if ((EUID == 0)); then
    status=0
    setpriv --reuid 65534 --regid 65534 --clear-groups "$DMABUFFS" doctor --fix >"$T/out" 2>"$T/err" || status=$?
    check '--fix without root: 1' [ "$status" == 1 ]
    check 'and the remedy' grep -q 'sudo dmabuffs doctor --fix' "$T/err"
    check 'and nothing has changed' [ "$(settings)" == "$before" ]

    no_mount() { # NAME TEXT COMMAND...: the command runs it where no mount can be made
        status=0
        "${@:3}" "$DMABUFFS" doctor >"$T/out" || status=$?
        check "$1: 1" [ "$status" == 1 ]
        check "$1: in one line" bash -c 'grep -A 3 "^No mount can be made: " "$1" | tr -s " \n" " " | grep -qF -- "$2"' - "$T/out" "$2"
    }
    no_mount 'root without CAP_SYS_ADMIN' 'CAP_SYS_ADMIN' setpriv --bounding-set -sys_admin --inh-caps -sys_admin
    no_mount 'a user whose set-user-ID programs have no effect' no_new_privs \
        setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs
    if unshare -Ur true 2>/dev/null; then # not in a chroot
        no_mount 'a user namespace without a mount namespace of its own' 'unshare --mount' unshare -Ur
        unshare -Ur "$DMABUFFS" doctor --json >"$T/json.namespace"
        check 'which has no passthrough either' jq -e 'any(.checks[]; .name == "passthrough" and .state == "warn" and
            (.detail | contains("outside of user namespaces")))' "$T/json.namespace"
    fi
    no_mount 'a container without /dev/fuse' '/dev/fuse' "$DMABUFFS" exec -- sh -c 'mount -t tmpfs none /dev && exec "$@"' -
    check 'where exec can not be used either' grep -qE "^warn +exec +.*can't be used: /dev/fuse" "$T/out"
    if ! json_has 'any(.checks[]; .name == "container" and (.detail | contains("chroot")))'; then
        "$DMABUFFS" exec -- sh -c 'mount -t tmpfs none /run && : >/run/.containerenv && mount -t tmpfs none /dev && exec "$@"' - \
            "$DMABUFFS" doctor --json >"$T/json.container"
        check 'a container without /dev/udmabuf: how it is given one, and no mknod' jq -e 'any(.checks[]; .name == "udmabuf" and
            .fix == null and (.detail | contains("--device /dev/udmabuf")))' "$T/json.container"
    fi
    closed=(unshare -m sh -c 'rm -f "$1" && mknod -m 600 "$1" c 10 229 && mount --bind "$1" /dev/fuse && shift &&
        exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"' - "$T/fuse")
    no_mount 'a user where /dev/fuse is closed' '/dev/fuse: permission denied' "${closed[@]}"
    "${closed[@]}" "$DMABUFFS" doctor --json >"$T/json.closed"
    check 'whose mount is missing, with the remedy' jq -e '(.mount | not) and any(.checks[]; .name == "mount" and
        .state == "missing" and .fix == "chmod 0666 /dev/fuse")' "$T/json.closed"
    install -d -o 65534 "$T/his"
    chmod 711 "$T"
    "${closed[@]}" "$DMABUFFS" mount -o allow_other "$T/his" 2>"$T/err"
    check 'which mount names, and not allow_other' grep -q "can't be mounted: /dev/fuse: Permission denied" "$T/err"
    if [[ $(jq -r '.checks[] | select(.name == "exec").state' "$T/json") == ok ]]; then
        # A chroot whose / is no mount point, with all that the program needs
        mkdir -p "$T/root"/{dev,proc,tmp,usr} "$T/root/$(dirname "$DMABUFFS")"
        for link in bin lib lib64 sbin; do [[ ! -L /$link ]] || cp -a "/$link" "$T/root/$link"; done
        cp "$DMABUFFS" "$T/root/$DMABUFFS"
        chmod 755 "$T"
        chmod 1777 "$T/root/tmp"
        # What is mounted in it is seen outside, as in a chroot of the machine.
        in_chroot() {
            "$DMABUFFS" exec -- sh -c 't=$1 r=$1/root && shift && mount --bind $t $t && mount --make-shared $t && for d in dev proc usr; do
                mount --rbind /$d $r/$d || exit; done
                chroot $r "$@" & until [ -e $r/tmp/up ] || ! kill -0 $! 2>/dev/null; do sleep 0.1; done
                grep "$r/tmp/dmabuffs-exec" /proc/self/mountinfo >&2; wait $!' - "$T" "$@"
        }
        in_chroot "$DMABUFFS" doctor --json >"$T/json" 2>/dev/null
        check 'in a chroot it says so' json_has 'any(.checks[]; .name == "container" and (.detail | contains("chroot")))'
        check 'and that exec works, for root' json_has 'any(.checks[]; .name == "exec" and .state == "ok")'
        out=$(in_chroot "$DMABUFFS" exec -- sh -c 'ls -d "$DMABUFFS_MOUNT/heaps"; : >/tmp/up; sleep 1' 2>"$T/err")
        check 'as it does' [ "${out##*/}" == heaps ]
        check 'with a mount that nobody else sees' [ ! -s "$T/err" ]
        in_chroot setpriv --reuid 65534 --regid 65534 --clear-groups "$DMABUFFS" exec -- true 2>"$T/err"
        check 'and for another says why not' grep -qF 'in a chroot nobody has them' "$T/err"
    fi
fi
exit "$failed"
