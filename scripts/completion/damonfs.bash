# Completion of damonfs for bash; the program itself says what fits.
_damonfs() {
    local cur prev words cword line
    local -a found=()
    COMPREPLY=()
    if declare -F _init_completion >/dev/null; then
        _init_completion -n := || return
    else
        cur=${COMP_WORDS[COMP_CWORD]} words=("${COMP_WORDS[@]}") cword=$COMP_CWORD
    fi
    while IFS= read -r line; do
        found+=("${line%%$'\t'*}")
    done < <("${words[0]}" __complete "${words[@]:1:cword}" 2>/dev/null)
    case ${#found[@]}:${found[0]-} in
        1:FILE) compopt -o default ;;
        1:DIRECTORY) compopt -o default -o dirnames ;;
        1:COMMAND)
            local i
            for ((i = 1; i < cword; i++)); do [ "${words[i]}" != -- ] || break; done
            if declare -F _command_offset >/dev/null; then _command_offset $((i + 1)); else compopt -o default; fi
            ;;
        *)
            local IFS=$'\n'
            COMPREPLY=("${found[@]}")
            if declare -F __ltrim_colon_completions >/dev/null; then __ltrim_colon_completions "$cur"; fi
            ;;
    esac
}
complete -F _damonfs damonfs
