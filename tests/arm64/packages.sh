#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The packages for arm64, built on another machine: what they say of themselves, and that dpkg takes them in an arm64 tree.
# Needs the tree, hence root; the program runs there emulated.
# timeout: 1800
source "$(dirname "${BASH_SOURCE[0]}")/../packages/common.bash"
made=build/packages-arm64
check 'they are built' make_packages arm64 1 "$made" || exit 1
field() { dpkg-deb -f "$(echo "$made/$1"_*.deb)" "$2"; } # PACKAGE FIELD
is() { # NAME SEEN WANTED
    if [[ $2 == "$3" ]]; then echo "ok - $1"; else echo "not ok - $1"; echo "# '$2', not '$3'"; failed=1; fi
}
for package in dmabuffs libdmabuffs1 libdmabuffs-dev; do
    is "$package is for arm64" "$(field $package Architecture)" arm64
done
is 'the module is for all: DKMS builds it where it is used' "$(field dmabuffs-dkms Architecture)" all
for package in libdmabuffs1 libdmabuffs-dev; do
    is "$package goes beside that of another architecture" "$(field $package Multi-Arch)" same
done
is 'the library is where its architecture has its own' \
    "$(dpkg-deb -c "$made"/libdmabuffs1_*.deb | grep -c ' \./usr/lib/aarch64-linux-gnu/libdmabuffs\.so\.1')" 2
is 'nothing is in the package but what is installed' "$(dpkg-deb -c "$made"/dmabuffs_*.deb | grep -c ' \./debian')" 0
for library in libc6 libstdc++6 libfuse3 libdrm2 libpng16 liburing2; do
    check "the program asks for $library" grep -F " $library" <(field dmabuffs Depends)
done
for package in dmabuffs libdmabuffs1 libdmabuffs-dev dmabuffs-dkms; do
    check "lintian has no error and no warning for $package" \
        lintian --no-cfg --allow-root --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs "$made/${package}"_*.deb
done

tree=$(tests/vm/arm64) || { echo 'not ok - a tree for arm64'; exit 1; }
there() { tests/vm/chroot --tree "$tree" sh -c "dpkg -i $made/dmabuffs_*.deb $made/libdmabuffs1_*.deb $made/libdmabuffs-dev_*.deb >/run/dpkg 2>&1 || { cat /run/dpkg; exit 1; }; $1"; }
check 'dpkg finds there what they ask for' there true
check 'the program is for arm64' there 'file -L "$(command -v dmabuffs)" | grep aarch64 || od -An -tx1 -j18 -N2 /usr/bin/dmabuffs | grep "b7 00"'
is 'it starts' "$(there 'dmabuffs --version' | head -n 1)" "dmabuffs $(sed -n 's/^project(dmabuffs VERSION \([^ ]*\).*/\1/p' CMakeLists.txt)"
check 'and copies a file into a buffer and back' there 'head -c 3000000 /dev/urandom >/run/file &&
    dmabuffs exec -- sh -c "cp /run/file \$DMABUFFS_MOUNT/heaps/memfd/ && cmp /run/file \$DMABUFFS_MOUNT/heaps/memfd/file"'
exit "$failed"
