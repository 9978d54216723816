#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What cmake --install puts down it also lists, so that the target uninstall leaves nothing, no link either.
source "$(dirname "$0")/lib.sh"
cp -r "$(dirname "$0")/../../"{CMakeLists.txt,LICENSE,README.md,CHANGELOG.md,CONTRIBUTING.md,SECURITY.md,docs,kernel,dmabuffs} "$T"
run cmake -S "$T" -B "$T/build" -G Ninja -DCMAKE_INSTALL_PREFIX="$T/usr" -DDMABUFFS_TESTS=OFF
says 'it is configured' 0 ''
cp "$DMABUFFS" "$T/build/dmabuffs" # what would be built is there
cp -a "$DMABUFFS_BUILD"/libdmabuffs.so* "$T/build"
run cmake --install "$T/build"
says 'it installs' 0 ''
is 'mount(8) finds the program' "$(readlink -f "$T/usr/sbin/mount.dmabuffs")" "$T/usr/bin/dmabuffs"
check 'the completion is where bash looks' test -r "$T/usr/share/bash-completion/completions/dmabuffs"
is 'pkg-config finds the library' "$(PKG_CONFIG_PATH=$(dirname "$(find "$T/usr" -name dmabuffs.pc)") pkg-config --variable=includedir dmabuffs)" "$T/usr/include"
check 'and its header is there' test -r "$T/usr/include/dmabuffs.h"
mapfile -t papers < <(find "$T/usr/share/doc" -name '*.md')
check 'the papers are there' test "${#papers[@]}" -gt 10
is 'and no link of theirs leads nowhere' "$("$(dirname "$0")/../lib/dead-links" "${papers[@]}")" ''
for manager in system user; do
    unit=$T/usr/lib/systemd/$manager/dmabuffs@.service
    is "the unit of systemd ($manager) runs what is installed" "$(sed -n 's/^ExecStart=\([^ ]*\).*/\1/p' "$unit")" "$T/usr/bin/dmabuffs"
    if [[ -x $(command -v systemd-analyze) ]]; then
        chmod +x "$T/usr/bin/dmabuffs"
        # Of a newer systemd it has words that an older one does not know.
        is "and systemd understands it ($manager)" "$(systemd-analyze verify --man=no "--$manager" "${unit%@*}@run-buf.service" 2>&1 |
            grep -F "$unit" | grep -v FileDescriptorStorePreserve)" ''
    fi
done
run cpack --config "$T/build/CPackConfig.cmake" -B "$T/packages"
says 'packages of another prefix than /usr are refused' 1 'configure it with -DCMAKE_INSTALL_PREFIX=/usr'
run cmake --build "$T/build" --target uninstall
says 'it is taken away' 0 ''
is 'and nothing is left' "$(find "$T/usr" ! -type d)" ''
