# zsh -f offers.zsh DIRECTORY LINE...: prints each line and the candidates that
# an interactive zsh shows for its last word on a press of the tab key, with the
# completions in DIRECTORY.
zmodload zsh/zpty
if [[ $1 != inside ]]; then
    zpty zsh 'exec zsh -f -i'
    zpty -w zsh "source ${(q)0} inside ${(q)1}"
    shift
    local output
    while zpty -r zsh output; do
        output=${output%$'\r\n'}
        case $output in
            *OFFER:*) print -r -- "${output#*OFFER:}" ;;
            *READY)
                (($#)) || break
                print -r -- "> $1"
                # Control-U takes away the line before.
                zpty -n -w zsh $'\C-U'"$1"$'\t'
                shift
                ;;
        esac
    done
    zpty -d zsh
    return
fi

fpath=($2 $fpath)
autoload -U compinit
compinit -u -D
offer() {
    compadd() {
        builtin compadd "$@"
        # Those that only fill an array are not offered.
        [[ ${@[1,(i)(-|--)]} != *-(O|A|D)\ * ]] || return
        local -a found
        builtin compadd -O found "$@"
        print -rl -- OFFER:${^found}
    }
    _main_complete
    unfunction compadd
    print READY
}
zle -C offer complete-word offer
bindkey '^I' offer
print READY
