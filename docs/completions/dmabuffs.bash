# SPDX-License-Identifier: MIT
# bash completion for dmabuffs(1)

_dmabuffs() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]-} options='' i typed
    local commands='mount umount cp exec import info ps status socket doctor help'
    local mount_options='size= recycle= files= heap= heap_if_present= require_direct allow_other allow_root ro xattr no_passthrough
        no_auto_unmount fsname= debug foreground noatime nosuid nodev noexec'
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "$commands --help --version" -- "$cur")
        return
    fi
    if [[ $command == exec ]]; then
        # From the first word that is no option, or behind --, the words are another command's.
        for ((i = 2; i <= COMP_CWORD; i++)); do
            case ${COMP_WORDS[i]} in
            --files | --heap | --heap-if-present | -o) ((++i)) ;;
            --) if ((i < COMP_CWORD)); then i=$((i + 1)); break; fi ;;
            -*) ;;
            *) break ;;
            esac
        done
        if ((i <= COMP_CWORD)); then
            if declare -F _command_offset >/dev/null; then _command_offset "$i"; fi
            return
        fi
    fi
    case $prev in
    -o)
        [[ $command == mount || $command == exec ]] || return
        compopt -o nospace
        mapfile -t COMPREPLY < <(compgen -P "${cur%"${cur##*,}"}" -W "$mount_options" -- "${cur##*,}")
        return ;;
    --heap | --heap-if-present)
        mapfile -t COMPREPLY < <(compgen -W "memfd udmabuf direct $(ls /dev/dma_heap 2>/dev/null) $(ls /dev/dri 2>/dev/null | sed -n 's/^card[0-9]*$/drm-&/p')" -- "$cur")
        return ;;
    --files)
        mapfile -t COMPREPLY < <(compgen -d -- "${cur#*=}")
        compopt -o filenames
        return ;;
    esac
    if [[ $cur == -* ]]; then
        case $command in
        mount) options='--files --heap --heap-if-present --require-direct --foreground -o' ;;
        umount | unmount) options='--lazy' ;;
        cp) options='--require-direct --no-progress --json --recursive --force --preserve --verbose' ;;
        exec) options='--fd --require-dmabuf --huge --files --heap --heap-if-present --require-direct -o --' ;;
        import) options='--pid --fd --rw' ;;
        info | status) options='--json' ;;
        doctor) options='--json --fix' ;;
        esac
        mapfile -t COMPREPLY < <(compgen -W "$options --help --version" -- "$cur")
        return
    fi
    case $command in
    umount | unmount | status | socket)
        # A name each, whatever is in it: \040 there is a space. What is typed may be quoted.
        typed=$(printf '%s\n' "$cur" | xargs printf '%s' 2>/dev/null) || typed=$cur
        while IFS= read -r i; do
            printf -v i '%b' "${i//\\/\\0}"
            [[ $i != "$typed"* ]] || COMPREPLY+=("$i")
        done < <(awk '/ - fuse\.dmabuffs / { print $5 }' /proc/self/mountinfo)
        [[ ${COMPREPLY[*]-} ]] || mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    mount) mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    cp | import | info) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    esac
    compopt -o filenames 2>/dev/null
}
# default: a name typed with a backslash, which compgen does not find
complete -o default -F _dmabuffs dmabuffs
