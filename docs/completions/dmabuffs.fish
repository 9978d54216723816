# SPDX-License-Identifier: MIT
# fish completion for dmabuffs(1): the words that bash is offered, and fish's own names of files.
set -g __dmabuffs_answers (status dirname)/../../bash-completion/completions/dmabuffs
function __dmabuffs_words
    set -l words (commandline -opc) (commandline -ct)
    bash -- $__dmabuffs_answers $words[2..] 2>/dev/null
end
complete -c dmabuffs -a '(__dmabuffs_words)'
# At first there are commands, and no files.
complete -c dmabuffs -n 'test (count (commandline -opc)) -eq 1' -f
# --files [NAME=]DIR
function __dmabuffs_directories
    set -l name (string match -r '^[^=]*=' -- (commandline -ct))
    __fish_complete_directories (string replace -- "$name" '' (commandline -ct)) | string replace -r '^' "$name"
end
complete -c dmabuffs -n 'test (commandline -opc)[-1] = --files' -f -a '(__dmabuffs_directories)'
