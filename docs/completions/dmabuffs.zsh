#compdef dmabuffs
# SPDX-License-Identifier: MIT
# zsh completion for dmabuffs(1): the words that bash is offered, and zsh's own names of files.
local -a offered
local answers=${functions_source[_dmabuffs]:A:h}/../../bash-completion/completions/dmabuffs
offered=(${(f)"$(bash -- $answers "${(@Q)words[2,CURRENT]}" 2>/dev/null)"})
[[ $words[CURRENT-1] == --files ]] && { compset -P '*='; _files -/; return }
case $words[2] in
(exec|mount) # a list for -o goes on, and = waits for a value
    (( $#offered )) && [[ $words[CURRENT-1] == -o ]] && { compadd -S '' -- $offered; return } ;;
esac
(( $#offered )) && compadd -- $offered && return
_files
