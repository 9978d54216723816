#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The session that README shows (docs/demo) runs to its end with the program as it is, and its picture has the same lines.
# vm: --memory 2048 --scratch 1G
source "$(dirname "$0")/common.bash"
demo=$(realpath "$(dirname "$0")/../../docs/demo")

make_disk
check 'a camera' modprobe vivid
head -c 64M /dev/urandom >"$disk/model.bin"
sync
echo 1 >/proc/sys/vm/drop_caches
mkdir -p "$T/demo/buf" && cd "$T/demo" || exit
ln -s "$disk" data
ln -s "$tools/v4l2-frame" camera
trap '"$DMABUFFS" umount "$T/demo/buf" 2>/dev/null; umount "$disk"' EXIT
export PATH="${DMABUFFS%/*}:$PATH" HOME=$T TERM=xterm
script -qec "$demo/session" /dev/null >"$T/out" 2>&1 </dev/null # on a terminal: view shows its picture there
equals 'every line does what the next one needs' $? 0
check 'and it comes to its end' test -e "$T/.whole"
((failed == 0)) || tail -n 20 "$T/out" | sed 's/^/# /'
for line in 'pinned-direct' 'the same' 'plane 0 (YUV), x 150, y 200' '6f6f 7073'; do
    check "it shows $line" grep -qF "$line" "$T/out"
done
# A long one is wrapped there.
shown=$(sed -e 's/\xc2\xa0/ /g; s/&gt;/>/g; s/&lt;/</g; s/&quot;/"/g; s/&#39;/'"'"'/g; s/&amp;/\&/g' "$demo/demo.svg")
while read -r typed; do
    check "the picture has: $typed" grep -qF -- "${typed:0:60}" <<<"$shown"
done < <(sed -n "s/^show ['\"]\(.*\)['\"]\( [0-9]\)\?\$/\1/p" "$demo/session" | sed 's/\\\$/$/g')
exit "$failed"
