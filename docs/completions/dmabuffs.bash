# SPDX-License-Identifier: MIT
# bash completion for dmabuffs(1)

_dmabuffs() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]-} options='' i j typed
    local words=() starts=() joins=''
    local commands='mount umount cp exec create format import info ps view diff hex status socket bench doctor help'
    local mount_options='size= recycle= files= heap= heap_if_present= require_direct allow_other allow_root ro xattr no_xattr no_passthrough
        no_auto_unmount fsname= debug foreground noatime nosuid nodev noexec'
    local picture_options='--format --size --stride --offset --modifier'
    local formats='XR24 AR24 XB24 AB24 RX24 RA24 BX24 BA24 RG24 BG24 RG16 XR30 XB30 NV12 NV21 NV16 NV61 NV24 P010 YU12 YV12 YU16
        YU24 YUYV YVYU UYVY VYUY R8 R10 R12 R16 RGGB BA81 GBRG GRBG RG10 BG10 GB10 BA10 RG12 BG12 GB12 BYR2 GB16 GR16'
    COMPREPLY=()
    # Bash parts words at = and :, and what is offered takes the place of the last part. These are whole, and where they begin.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[i]} == [=:] ]]; then joins=yes words[-1]+=${COMP_WORDS[i]}; continue; fi
        if [[ $joins ]]; then joins='' words[-1]+=${COMP_WORDS[i]}; continue; fi
        words+=("${COMP_WORDS[i]}") starts+=("$i")
    done
    if [[ ${words[-2]-} == --files ]]; then prev=--files cur=${words[-1]#*=}; fi
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "$commands --help --version" -- "$cur")
        return
    fi
    if [[ $command == help ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur")
        return
    fi
    if [[ $command == exec ]]; then
        # From the first word that is no option, or behind --, the words are another command's; or they are buffers, up to --.
        for ((i = 2; i < ${#words[@]}; i++)); do
            case ${words[i]} in
            --files | --heap | --heap-if-present | -o) ((++i)) ;;
            --) if [[ ${words[i + 1]+x} ]]; then i=$((i + 1)); break; fi ;;
            -*) ;;
            *) break ;;
            esac
        done
        if ((i < ${#words[@]} - 1)) && ! type -P -- "${words[i]}" >/dev/null; then
            for ((j = i; j < ${#words[@]} - 1; j++)); do
                if [[ ${words[j]} == -- ]]; then i=$((j + 1)); break; fi
            done
        fi
        if ((i == ${#words[@]} - 1)) && [[ ${words[i - 1]} != -- ]]; then
            # The first: a path may be a buffer's, a word also a command's.
            if [[ ${words[i]} != */* ]] && declare -F _command_offset >/dev/null; then _command_offset "${starts[i]}"; fi
            mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "${words[i]#*=}")
            compopt -o filenames
            return
        fi
        if ((i < ${#words[@]})); then
            if declare -F _command_offset >/dev/null; then _command_offset "${starts[i]}"; fi
            return
        fi
    fi
    case $prev in
    -o | --output | --image | --svg)
        if [[ $command == view || $command == diff || $command == bench ]]; then
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            compopt -o filenames
            return
        fi
        [[ $command == mount || $command == exec ]] || return
        compopt -o nospace
        mapfile -t COMPREPLY < <(compgen -P "${cur%"${cur##*,}"}" -W "$mount_options" -- "${cur##*,}")
        return ;;
    --heap | --heap-if-present)
        typed=memfd
        if [[ $prev == --heap-if-present || -e /dev/udmabuf ]]; then typed+=' udmabuf'; fi
        if [[ $prev == --heap-if-present || -e /dev/dmabuf_file ]]; then typed+=' direct'; fi
        mapfile -t COMPREPLY < <(compgen -W "$typed $(ls /dev/dma_heap 2>/dev/null) $(ls /dev/dri 2>/dev/null | sed -n 's/^card[0-9]*$/drm-&/p')" -- "$cur")
        return ;;
    --format)
        if [[ $cur == [a-z]* ]]; then formats=${formats,,}; fi
        mapfile -t COMPREPLY < <(compgen -W "$formats" -- "$cur")
        return ;;
    --modifier)
        mapfile -t COMPREPLY < <(compgen -W 'LINEAR I915_X_TILED I915_Y_TILED I915_4_TILED' -- "$cur")
        return ;;
    --channel)
        mapfile -t COMPREPLY < <(compgen -W 'Y U V R G B A' -- "$cur")
        return ;;
    --size | --stride | --offset | --tolerance | --frame | --fd | --pid) [[ $command == exec ]] || return ;;
    --colorspace)
        mapfile -t COMPREPLY < <(compgen -W 'bt601 bt709 bt2020' -- "$cur")
        return ;;
    --range)
        mapfile -t COMPREPLY < <(compgen -W 'limited full' -- "$cur")
        return ;;
    --files)
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        compopt -o filenames -o dirnames +o default
        return ;;
    esac
    if [[ $cur == -* ]]; then
        case $command in
        mount) options='--files --heap --heap-if-present --require-direct --foreground -o' ;;
        umount | unmount) options='--lazy' ;;
        cp) options="--require-direct --no-progress --json --recursive --force --preserve --verbose $picture_options" ;;
        exec) options='--fd --require-dmabuf --huge --files --heap --heap-if-present --require-direct -o --' ;;
        import) options="--pid --fd --rw $picture_options" ;;
        create) options=$picture_options ;;
        format) options="--clear $picture_options" ;;
        info | status) options='--json' ;;
        ps) options='--json --pid' ;;
        view) options="--output --colorspace --range --channel --frame $picture_options" ;;
        diff) options="--tolerance --image --json --frame $picture_options" ;;
        hex) options="--plain $picture_options" ;;
        bench) options='--create --write --runs --heap --rows --list --baseline --chunks --each --keep-caches --json --markdown --svg' ;;
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
    cp | create | format | import | info | view | diff | hex | bench) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    esac
    compopt -o filenames 2>/dev/null
}
if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    # Run as a program, by the completions of zsh and fish, with the words typed after `dmabuffs`: prints what is offered for
    # the last one. Those shells look for files themselves.
    compopt() { :; }
    compgen() { if [[ $1 == -W || $1 == -P ]]; then builtin compgen "$@"; fi; }
    COMP_WORDS=(dmabuffs "$@") COMP_CWORD=$#
    _dmabuffs
    if ((${#COMPREPLY[@]})); then printf '%s\n' "${COMPREPLY[@]}"; fi
else
    # default: a name typed with a backslash, which compgen does not find
    complete -o default -F _dmabuffs dmabuffs
fi
