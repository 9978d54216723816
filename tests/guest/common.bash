# SPDX-License-Identifier: MIT
# Sourced by the tests that need real dma-bufs: the words of a test, and looks at a mount from outside of it.
set -u
# What these tests change (huge pages, limits, device modes) a guest's end undoes, a real machine's does not.
if [[ ${DMABUFFS_REAL-} != 1 ]]; then
    echo 'skip - changes settings of the whole machine: for a guest only'
    exit 77
fi
tools=$DMABUFFS_BUILD/tests
mnt=$T/mnt
disk=$T/disk
size_limit=/sys/module/udmabuf/parameters/size_limit_mb
failed=0

check() { # NAME COMMAND...: the command must succeed
    local name=$1
    shift
    if "$@"; then echo "ok - $name"; else echo "not ok - $name"; failed=1; fi
}
quiet() { "$@" >/dev/null; }
equals() { # NAME SEEN WANTED
    if [[ $2 == "$3" ]]; then echo "ok - $1"; else
        echo "not ok - $1"
        echo "# '$2', not '$3'"
        failed=1
    fi
}
# Runs COMMAND, keeps its output in $out and its exit status in $status.
out='' status=0
run() { out=$("$@" 2>&1); status=$?; }
says() { # NAME STATUS TEXT: what the last run said
    if [[ $status == "$2" && $out == *"$3"* ]]; then echo "ok - $1"; else
        echo "not ok - $1"
        echo "# exit $status, not $2; or no '$3' in: $out"
        failed=1
    fi
}
between() { (($2 <= $1 && $1 <= $3)) || { echo "# $1 is not in $2...$3"; return 1; }; }

make_disk() { # the scratch disk, with ext4
    if ! { mkfs.ext4 -q -F /dev/vda && mkdir -p "$disk" && mount /dev/vda "$disk"; }; then
        echo 'not ok - a file system on the scratch disk'
        exit 1
    fi
    trap 'umount "$disk"' EXIT
}
daemon=''
mount_it() { # OPTION...
    mkdir -p "$mnt"
    "$DMABUFFS" mount "$@" "$mnt" || { echo "not ok - the mount for this test: $*"; exit 1; }
    daemon=$(jq .pid "$mnt/status")
}
kernel_since() { [[ $(printf '%s\n' "$1" "$(uname -r)" | sort -V | head -1) == "$1" ]]; } # VERSION
unmount_it() { "$DMABUFFS" umount "$mnt"; }

huge_pages() { # COUNT: of the pool; the kernel may need to be asked again while memory is moved
    local try
    for try in 1 2 3 4 5; do
        echo "$1" >/proc/sys/vm/nr_hugepages
        [[ $(</proc/sys/vm/nr_hugepages) == "$1" ]] && return
        echo 1 >/proc/sys/vm/compact_memory
    done
    echo "# only $(</proc/sys/vm/nr_hugepages) huge pages, not $1"
    return 1
}
make_source() { # FILE SIZE: of a piece whose length is no multiple of any unit of a transfer: bytes in a wrong place differ
    local piece=$((5246976 + 4096)) i
    head -c $piece /dev/urandom >"$T/piece"
    for ((i = 0; i * piece < $2; i++)); do
        dd if="$T/piece" of="$1" bs=$piece seek=$i oflag=direct conv=notrunc status=none
    done
    truncate -s "$2" "$1"
    sync
}
sectors() { awk -v field="$1" '{ print $field }' "/sys/block/${2-vda}/stat"; } # FIELD [DISK]
read_sectors() { sectors 3 "$@"; }
written_sectors() { sectors 7 "$@"; }
near() { between $(($1 * 512)) $(($2 - $2 / 50)) $(($2 + $2 / 50)); } # SECTORS BYTES
dmabufs() { sed -n 's/^Total \([0-9]*\) objects.*/\1/p' /sys/kernel/debug/dma_buf/bufinfo; }
load_module() { check 'the module loads' insmod "$(dirname "$DMABUFFS_BUILD")/kernel/$(uname -r)/dmabuf_file.ko"; }
drop_caches() { sync; echo 3 >/proc/sys/vm/drop_caches; }
cached() { fincore -n -b -o RES "$1" | tr -d ' '; } # bytes of the file in the page cache

about() { "$DMABUFFS" info --json "$1" | jq -r ".[0].$2"; } # BUFFER MEMBER
# The bytes of the dma-buf itself, past the mount and its daemon; without LENGTH all of its capacity.
peek() { "$tools/dmabuf-peek" "$daemon" "$(about "$1" inode)" "${@:2}"; } # BUFFER [LENGTH [OFFSET] | --same-as FILE]
poke() { "$tools/dmabuf-poke" "$daemon" "$(about "$1" inode)" "$2"; }       # BUFFER OFFSET <BYTES
moved() { jq -c '.transfers | map_values(.bytes) | with_entries(select(.value > 0))' "$mnt/status"; }
