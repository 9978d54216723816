# SPDX-License-Identifier: MIT
# bash completion for dmabuffs(1); belongs into /usr/share/bash-completion/completions/dmabuffs

_dmabuffs() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]-} options='' i
    local commands='mount umount cp exec info status socket doctor'
    local mount_options='size= recycle= files= heap= require_direct allow_other allow_root ro xattr no_passthrough
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
            --files | --heap | -o) ((++i)) ;;
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
    --heap)
        mapfile -t COMPREPLY < <(compgen -W "memfd udmabuf $(ls /dev/dma_heap 2>/dev/null)" -- "$cur")
        return ;;
    --files)
        mapfile -t COMPREPLY < <(compgen -d -- "${cur#*=}")
        compopt -o filenames
        return ;;
    esac
    if [[ $cur == -* ]]; then
        case $command in
        mount) options='--files --heap --require-direct --foreground -o' ;;
        umount) options='--lazy' ;;
        cp) options='--require-direct --no-progress --json --recursive --force --preserve --verbose' ;;
        exec) options='--files --heap --require-direct -o --' ;;
        info | status) options='--json' ;;
        doctor) options='--json --fix' ;;
        esac
        mapfile -t COMPREPLY < <(compgen -W "$options --help" -- "$cur")
        return
    fi
    case $command in
    umount | status | socket)
        mapfile -t COMPREPLY < <(compgen -W "$(awk '/ - fuse\.dmabuffs / { print $5 }' /proc/self/mountinfo)" -- "$cur")
        [[ ${COMPREPLY[*]-} ]] || mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    mount) mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    cp | info) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    esac
    compopt -o filenames 2>/dev/null
}
complete -F _dmabuffs dmabuffs
