# SPDX-License-Identifier: MIT
# Sourced by the scripts that build a kernel of Debian's source package in the cache folder, if it is not there yet or the
# package, the configuration or the script has changed.
die() { printf '%s: %s\n' "$0" "$*" >&2; exit 1; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
kernel_package=linux-source-6.12

# Prints the path. It has boot/vmlinuz-VERSION and lib/modules/VERSION as a root file system has (tests/vm/run), and what
# modules are built against (tests/vm/module). MAKE-VARIABLE=VALUE: what make is told of the architecture.
built_kernel() { # NAME HOW-LONG IMAGE "CONFIG..." "MAKE-VARIABLE=VALUE..." [--fresh]
    local name=$1 how_long=$2 image=$3 configs=() make lost version source stamp
    local tree=${XDG_CACHE_HOME:-$HOME/.cache}/dmabuffs/$name archive=/usr/src/$kernel_package.tar.xz
    read -ra configs <<<"$4"
    read -ra make <<<"$5"
    configs=("${configs[@]/#/$here/}")
    source=$(dpkg-query -W -f '${db:Status-Status} ${Version}' "$kernel_package" 2>/dev/null) || true
    [[ $source == installed* && -r $archive ]] || die "$kernel_package is missing: run .ci/install-packages debug-kernel"
    stamp=$({ echo "$source"; grep -hv '^ *#' "${configs[@]}" "$0" "${BASH_SOURCE[0]}"; } | sha256sum | cut -d' ' -f1)
    up_to_date() { [[ $(cat "$tree/.stamp" 2>/dev/null) == "$stamp" ]]; }
    if [[ ${6-} != --fresh ]] && up_to_date; then
        echo "$tree"
        return
    fi

    mkdir -p "$tree"
    exec 9>"$tree.lock"
    flock 9 # waits for whoever builds it, and for the guests that run it
    if [[ ${6-} != --fresh ]] && up_to_date; then
        echo "$tree"
        return
    fi

    run_logged() { # COMMAND...: its output is worth reading only when it fails
        "$@" >>"$tree.log" 2>&1 </dev/null || { tail -n 60 "$tree.log" >&2; die "failed: $* (all messages: $tree.log)"; }
    }
    : >"$tree.log"
    rm -rf "$tree/.stamp" "${tree:?}/boot" "${tree:?}/lib"
    # An interrupted build is carried on with, and one of another configuration built upon.
    if [[ ${6-} == --fresh || $(cat "$tree/.unpacked" 2>/dev/null) != "$source" ]]; then
        printf 'Unpacking %s in %s\n' "$archive" "$tree" >&2
        rm -rf "$tree"
        mkdir -p "$tree/source"
        # Register descriptions of GPUs: a quarter of it all.
        run_logged tar -xf "$archive" -C "$tree/source" --strip-components=1 --exclude='*/amd/include/asic_reg'
        echo "$source" >"$tree/.unpacked"
    fi
    printf 'Building a kernel in %s (%s; its messages: %s.log)\n' "$tree" "$how_long" "$tree" >&2
    make=(make -C "$tree/source" O="$tree/build" KBUILD_BUILD_USER=dmabuffs KBUILD_BUILD_HOST=dmabuffs "${make[@]}")
    cat "${configs[@]}" >"$tree/config"
    run_logged "${make[@]}" KCONFIG_ALLCONFIG="$tree/config" allnoconfig
    # What an option depends on may have changed: then it is dropped without a word.
    lost=$(grep '^CONFIG' "$tree/config" | grep -vxFf "$tree/build/.config" || true)
    [[ ! $lost ]] || die "this kernel did not take: ${lost//$'\n'/ }"
    run_logged "${make[@]}" -j"$(nproc)" all
    run_logged "${make[@]}" INSTALL_MOD_PATH="$tree" modules_install
    version=$(<"$tree/build/include/config/kernel.release")
    ln -sfn "$tree/build" "$tree/lib/modules/$version/build"
    mkdir "$tree/boot"
    cp "$tree/build/$image" "$tree/boot/vmlinuz-$version"
    echo "$stamp" >"$tree/.stamp"
    echo "$tree"
}
