# SPDX-License-Identifier: MIT
# Sourced by the tests of the packages, each of which is about a Debian release.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit
failed=0
check() { # NAME COMMAND...: the command must succeed; what it says is shown if it does not
    local name=$1 said
    shift
    if said=$("$@" 2>&1 </dev/null); then echo "ok - $name"; else
        echo "not ok - $name"
        tail -n 60 <<<"$said" | sed 's/^/# /'
        failed=1
        return 1
    fi
}

# The command that users are told, in the build directory of the other tests; where there is none, without them.
# They are left in DIRECTORY.
make_packages() { # PRESET REVISION DIRECTORY [COMMAND that runs it elsewhere]
    local preset=$1 revision=$2 directory=$3 options=()
    shift 3
    [[ -e build/$preset/build.ninja ]] || options=(-DDMABUFFS_TESTS=OFF)
    rm -rf "build/$preset/packages" "$directory"
    "$@" cmake --preset "$preset" -DDMABUFFS_PACKAGE_REVISION="$revision" "${options[@]}" &&
        "$@" cmake --build "build/$preset" --target package &&
        mkdir -p "$directory" && mv "build/$preset/packages"/*.deb "$directory"
}

test_packages() { # SUITE PRESET [COMMAND that runs it there]
    local suite=$1 preset=$2 made=build/packages-$1 tree package
    shift 2
    # The build directory is left as it is without a revision.
    check 'they are built, with a higher revision' make_packages "$preset" 2 "$made/new" "$@" || exit 1
    check 'they are built' make_packages "$preset" 1 "$made/old" "$@" || exit 1
    for package in dmabuffs libdmabuffs1 libdmabuffs-dev dmabuffs-dkms; do
        check "lintian has no error and no warning for $package" \
            "$@" lintian --no-cfg --allow-root --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs "$made/old/${package}"_*.deb
    done
    tree=$(tests/vm/fresh "$suite") || { echo 'not ok - a fresh tree'; exit 1; }
    tests/vm/chroot --tree "$tree" tests/packages/inside "$made/old" "$made/new" || failed=1
    exit "$failed"
}
