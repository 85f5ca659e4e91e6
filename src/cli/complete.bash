
# Bash splits words at `=`: completes `--option=value` like `--option value`, and values after a comma.
_reapify_words() {
    local cur="$2" prev="$3" before=
    if [[ "$prev" == "=" ]]; then
        prev="${COMP_WORDS[COMP_CWORD-2]}"
    elif [[ "$prev" == --check && "${COMP_WORDS[COMP_CWORD]}" != "=" ]]; then
        # The value of this option follows only after `=`.
        prev=
    fi
    case "$prev" in
        --platform|--drop|--ignore)
            before="${cur%"${cur##*,}"}"
            ;;
    esac
    _reapify "$1" "${cur#"$before"}" "$prev"
    COMPREPLY=( "${COMPREPLY[@]/#/$before}" )
    # The name of an image continues after its transport.
    if [[ "${COMPREPLY[0]}" == *[:/] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _reapify_words -o nosort -o bashdefault -o default reapify
else
    complete -F _reapify_words -o bashdefault -o default reapify
fi
