# bash offers.bash DIRECTORY LINE...: prints each line and bash's candidates for its
# last word, with the completions in DIRECTORY.
for file in "$1"/*.bash; do source "$file"; done
shift
for line; do
    IFS=' ' read -ra COMP_WORDS <<<"$line"
    [[ $line != *' ' ]] || COMP_WORDS+=('')
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    printf '> %s\n' "$line"
    function=$(complete -p "${COMP_WORDS[0]}" | sed 's/.* -F \([^ ]*\) .*/\1/')
    "$function"
    ((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}"
done
