#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# docs/completions/dmabuffs.bash: what it offers, as bash itself calls it.
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/../../docs/completions/dmabuffs.bash"
compopt() { :; } # there is no command line here whose options it could change
offers() { # WORD...: all that is offered for the last of these words, a line each
    COMP_WORDS=(dmabuffs "$@") COMP_CWORD=$#
    COMPREPLY=()
    _dmabuffs
    printf '%s\n' "${COMPREPLY[@]}"
}
mount_it
is 'a command' "$(offers umo)" umount
is 'an option' "$(offers mount --heap-)" --heap-if-present
is 'a command that looks into files' "$(offers vi)" view
is 'an option of a picture' "$(offers diff --strid)" --stride
is 'a format' "$(offers hex --format NV2)" $'NV21\nNV24'
is 'in small letters, too' "$(offers hex --format nv2)" $'nv21\nnv24'
is 'all that can be shown' "$(offers view --format '' | xargs)" "$("$DMABUFFS" view --help | sed -n 's/^Formats: //p')"
is 'a channel' "$(offers view --channel '' | xargs)" 'Y U V R G B A'
is 'a modifier' "$(offers create --modifier I915_X)" I915_X_TILED
is 'no file for a number' "$(offers view --frame '')" ''
is 'a command to be told of' "$(offers help vi)" view
is 'an option of -o behind others' "$(offers mount -o ro,recy)" ro,recycle=
is 'a heap' "$(offers exec --heap mem)" memfd
is 'a mount whose name has a space is one word' "$(offers umount "$T/a")" "$mnt"
is 'also where the space is typed already' "$(offers status "$T/a\\ m")" "$mnt"
mkdir "$T/two words"
is 'a directory with a space' "$(offers mount "$T/two")" "$T/two words"
echo 1 >"$data/data.file"
mkdir "$data/data.dir"
is 'only a directory for --files' "$(offers exec --files "$data/data")" "$data/data.dir"
is 'also behind NAME=, which bash takes for a word' "$(offers exec --files data = "$data/data")" "$data/data.dir"
is 'where nothing is typed yet' "$(cd "$data" && offers mount --files data =)" data.dir
is 'the heaps that are here' "$(offers exec --heap '' | grep -xE 'udmabuf|direct' | xargs)" \
    "$(for name in udmabuf dmabuf_file; do [[ ! -e /dev/$name ]] || echo "$name"; done | sed s/dmabuf_file/direct/ | xargs)"
is 'those that may come' "$(offers exec --heap-if-present '' | grep -xE 'udmabuf|direct' | xargs)" 'udmabuf direct'

# As bash-completion has it: the words from there on are a command line.
_command_offset() { COMPREPLY=("command at $1") && [[ $COMP_CWORD != "$1" ]] || mapfile -t COMPREPLY < <(compgen -cd -- "${COMP_WORDS[COMP_CWORD]}" | sort -u); }
mkdir "$heap/sub"
echo 1 >"$heap/buffer"
is 'buffers of exec, beside directories' "$(offers exec "$heap/" | sort)" "$heap/buffer"$'\n'"$heap/sub"
is 'with a name' "$(offers exec in = "$heap/b")" "$heap/buffer"
is 'behind an option with a value' "$(offers exec --files data = "$data" "$heap/b")" "$heap/buffer"
is 'behind -- commands only' "$(offers exec -- "$heap/")" "$heap/sub"
is 'a command, where no path is typed' "$(offers exec mkfif)" mkfifo
is 'behind buffers and --, too' "$(offers exec in = "$heap/buffer" "$heap/buffer" -- mkfif)" mkfifo
is 'whose own words are left to it' "$(offers exec in = "$heap/buffer" -- cat x)" 'command at 6'
is 'also where -- is one of them' "$(offers exec cat -- x)" 'command at 2'
