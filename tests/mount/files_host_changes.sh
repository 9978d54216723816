#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What the host does to the directory that files/ shows, while programs work in it; and the inode numbers they see.
# timeout: 240
if ((EUID)); then
    echo 'skip - only root can mount an overlay'
    exit
fi
. "${BASH_SOURCE%/*}/lib.sh"

layers=$T/layers
mkdir "$layers" && mount -t tmpfs none "$layers" # overlayfs takes no overlayfs as its upper layer
mkdir -p "$layers"/{lower/dir,upper,work,over}
mount -t overlay -o "lowerdir=$layers/lower,upperdir=$layers/upper,workdir=$layers/work" overlay "$layers/over"
away() {
    cd /
    "$DMABUFFS" umount "$mnt" || { miss 'the mount is taken away'; "$DMABUFFS" umount --lazy "$mnt"; }
    umount "$layers/over" "$layers" || miss 'what lies below files/ can be unmounted then'
    exit "$failed"
}
trap away EXIT
mount_it --files over="$layers/over"
held() { find "/proc/$(daemon)/fd" -lname "$data/*" -xtype f | wc -l; }

cd "$mnt/files/over/dir" && touch first && touch second
is 'on overlayfs a working directory stays one when it is copied up' "$(ls)" $'first\nsecond'
touch "$layers/over/dir/third"
is 'and shows what the host makes in it' "$(echo *)" 'first second third'

python3 - "$data/f" "$files/f" <<'P' >"$T/opens" 2>&1
import os, sys, threading
host, seen = sys.argv[1:]
open(host, 'w').write('x')
stop = False
def replace():
    while not stop:
        open(host + '.new', 'w').write('x')
        os.replace(host + '.new', host)
thread = threading.Thread(target=replace)
thread.start()
failed = []
for _ in range(500):
    try:
        with open(seen) as f:
            assert f.read() == 'x'
    except OSError as e:
        failed.append(e)
stop = True
thread.join()
print(len(failed), *failed[:1])
P
is 'a file that the host replaces all the time can always be opened' "$(cat "$T/opens")" 0

mkdir "$data/a" "$data/b" && cd "$files/b" && mv -T "$files/a" "$files/b"
is 'a working directory replaced through the mount has no links' "$(stat -c %h .)" 0
cd .. && check 'and can be left' test -d b
mkdir "$data/c" && cd "$files/c" && mv "$data/c" "$data/elsewhere" && touch made
check 'a working directory that the host renames stays one' test -e "$data/elsewhere/made"
mv "$data/elsewhere" "$T/outside of it" && refuses ls "$files/elsewhere"
check 'its old names are gone' refuses stat "$files/c"
cd "$files" && rmdir b && mkdir d && cd d && rmdir "$data/d"
is 'one that the host removes is empty' "$(ls -A .)" ''
cd "$files" && echo kept >unlinked && exec 5<unlinked && rm "$data/unlinked"
is 'a file that the host removes is there for who has it open' "$(stat -Lc %h /proc/self/fd/5) $(cat <&5)" '0 kept'
exec 5<&-
python3 - "$files/path" <<'P'
import os, sys
open(sys.argv[1], 'w').write('x')
fd = os.open(sys.argv[1], os.O_PATH)
os.unlink(sys.argv[1])
sys.exit(os.fstat(fd).st_nlink)
P
is 'also for who has it open with O_PATH only' $? 0

mkdir "$data/many" && touch "$data/many/"{1..200} && ln "$data/many/1" "$data/many/link"
cd "$files" && find many -type f -exec stat -c '%i %n' {} + | sort >"$T/stat"
find many -type f -printf '%i %p\n' | sort >"$T/find"
# shellcheck disable=SC2012 # it is ls that is tested
ls -iU1 many | awk '{print $1, "many/" $2}' | sort >"$T/ls"
check 'find and ls tell the inode numbers that stat tells' cmp "$T/stat" "$T/find"
check 'from the directory alone, too' cmp "$T/stat" "$T/ls"
is 'each file has one of its own, links the same' "$(cut -d' ' -f1 "$T/stat" | sort -u | wc -l)" 200
cut -d' ' -f1 "$T/stat" | sort -u >"$T/numbers" && stat -c %i "$mnt/heaps" "$heap" "$mnt/status" >>"$T/numbers"
is 'none is another'\''s in the mount' "$(sort "$T/numbers" | uniq -d)" ''
check 'none is above 2^53' awk '$1 >= 2 ^ 53 { exit 1 }' "$T/numbers"
check 'tar finds the links' grep -q 'link to many/' <(tar -cf - many | tar -tvf -)

cd /
for _ in {1..300}; do
    left=$(held)
    ((left == 0)) && break
    sleep 0.2
done
is 'of files that nobody uses the daemon holds none' "$left" 0
