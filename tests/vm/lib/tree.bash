# SPDX-License-Identifier: MIT
# Sourced by the scripts that make a Debian tree in the cache folder, if it is not there yet or is to be another.
die() { printf '%s: %s\n' "$0" "$*" >&2; exit 1; }
cache=${XDG_CACHE_HOME:-$HOME/.cache}/dmabuffs

# The mirror that serves this machine's own release, whatever form its source list has.
mirror_of() { # Debian|Debian-Security
    # shellcheck disable=SC2016 # the dollars are apt's
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(LABEL)' 'Created-By: Packages' |
        awk -v release="$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)" -v label="$1" \
            '($2 == release || $2 == release "-security") && $3 == "main" && $4 == label { print $1; exit }'
}

# The kernel runs programs for arm64 emulated, once it is told by what. systemd does so when qemu-user-static is installed;
# where there is none, as in a container, this does. It lasts as long as the file system is mounted somewhere.
know_arm64() {
    local known=/proc/sys/fs/binfmt_misc
    [[ -e $known/register ]] || mount -t binfmt_misc binfmt_misc $known ||
        die 'this kernel has no binfmt_misc, by which it would run programs for arm64'
    if ! grep -qsx 'magic 7f454c460201010000000000000000000200b700' $known/*; then
        cat /usr/lib/binfmt.d/qemu-aarch64.conf >$known/register || die 'cannot run programs for arm64: run .ci/install-packages arm64'
    fi
}

# Prints the path of the tree. What is in it follows from its stamp; its age does not matter.
# MAKE is called with the name of a file of options for apt and the directory to make it in.
cached_tree() { # NAME STAMP MAKE [ARGUMENT-OF-THE-SCRIPT...]
    local tree=$cache/$1 stamp=$2 make=$3
    shift 3
    up_to_date() { [[ $(cat "$tree/.stamp" 2>/dev/null) == "$stamp" ]]; }
    if [[ ${1-} != --fresh ]] && up_to_date; then
        echo "$tree"
        return
    fi
    if ((EUID)); then # the tree holds files of root and set-id programs
        command -v sudo >/dev/null || die 'making the tree takes root, and there is no sudo'
        exec sudo --preserve-env=HOME,XDG_CACHE_HOME "$0" "$@"
    fi
    command -v mmdebstrap >/dev/null || die 'mmdebstrap is missing: run .ci/install-packages guest'
    [[ $(mirror_of Debian) ]] || die 'no Debian mirror in the configuration of apt (after apt-get update?)'

    mkdir -p "$cache"
    exec 9>"$tree.lock"
    flock 9 # waits for whoever makes it, and for the guests that run on the present one
    if [[ ${1-} != --fresh ]] && up_to_date; then
        echo "$tree"
        return
    fi
    new=$(mktemp -d "$tree.new.XXXXXX")
    trap 'rm -rf "$new" "$new.log" "$new.apt"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    # How to reach the mirror (proxies, clock checks) is this machine's business too.
    apt-config dump | grep -E '^Acquire::(https?|Check-Valid-Until|Check-Date|Retries)\b' >"$new.apt" || true
    printf 'Making a Debian tree in %s (half a minute to some minutes)\n' "$tree" >&2
    "$make" "$new.apt" "$new" >"$new.log" 2>&1 </dev/null ||
        { cat "$new.log" >&2; die 'mmdebstrap failed (its messages are above)'; }
    echo "$stamp" >"$new/.stamp"
    chmod 755 "$new"
    # Only a complete tree ever has the name.
    if [[ -e $tree ]]; then mv "$tree" "$new.old"; fi
    mv "$new" "$tree"
    rm -rf "$new.old"
    echo "$tree"
}
