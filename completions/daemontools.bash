# Completion of daemontools for bash. Generated from tests/completions; edit it there.

# Sets first to the index of the first operand, by the rules of the programs'
# getopt. $1 lists the letters of the options that take a value.
_daemontools_first() {
    first=1
    while ((first < COMP_CWORD)); do
        case ${COMP_WORDS[first]} in
            --*) ((++first)); return ;;
            -[$1]) ((first += 2)) ;;
            -?*) ((++first)) ;;
            *) return ;;
        esac
    done
}

# Sets after to the index of the program that follows services and `--`.
_daemontools_after_dashes() {
    local index
    for ((index = first; index < COMP_CWORD; ++index)); do
        if [[ ${COMP_WORDS[index]} == -- ]]; then
            ((after = index + 1))
            return
        fi
    done
}

# Offers the directories that begin with $1: service directories, and, with a
# final slash, directories that have subdirectories. With $2, log directories too.
_daemontools_services() {
    local dir name word=${1//\\/}
    while IFS= read -r dir; do
        printf -v name %q "$dir"
        if [[ $word == \~/* ]]; then
            printf -v name %q "${dir#"$HOME"}"
            name="~$name"
        fi
        if [[ -e $dir/run ]]; then
            COMPREPLY+=("$name")
            [[ ! -e $dir/log/run ]] || COMPREPLY+=("$name/log")
        elif [[ ${2-} && -e $dir/current ]]; then
            COMPREPLY+=("$name")
        elif _daemontools_has_directories "$dir"; then
            COMPREPLY+=("$name/")
        fi
    done < <(compgen -d -- "${word/#\~\//$HOME/}")
    [[ ${COMPREPLY[*]} != */ ]] || ((${#COMPREPLY[@]} > 1)) || compopt -o nospace 2>/dev/null
}

# Offers times of svlog that begin with $1.
_daemontools_times() {
    local time word=${1//\\/}
    for time in '10 min ago' '1 h ago' '1 d ago' "$(date +%Y-%m-%d)"; do
        [[ $time != "$word"* ]] || COMPREPLY+=("$(printf %q "$time")")
    done
}

# Offers services as sv accepts them: by path, or by name in sv's directory.
_daemontools_names() {
    local quoted at=${SVDIR:-}
    if [[ $1 == [./~]* ]]; then
        _daemontools_services "$1"
        return
    fi
    [[ $at ]] || for at in /etc/service /service; do [[ ! -d $at ]] || break; done
    _daemontools_services "$at/$1"
    printf -v quoted %q "$at/"
    COMPREPLY=("${COMPREPLY[@]#"$quoted"}")
}

_daemontools_has_directories() {
    local dir
    for dir in "$1"/*/; do
        [[ ! -d $dir ]] || return 0
    done
    return 1
}

# Completes the command line that begins with the word at index $1.
_daemontools_command() {
    if declare -F _command_offset >/dev/null; then
        _command_offset "$1"
    elif ((COMP_CWORD == $1)); then
        mapfile -t COMPREPLY < <(compgen -c -- "$2" | sort -u)
    else
        _daemontools_files -f "$2"
    fi
}

_daemontools_files() {
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen "$1" -- "$2")
}

# Completes for a program with the options $1. An option with a colon takes a
# value, of the kind after the colon. The other arguments are the kinds of the
# operands; the last kind applies to all remaining operands.
_daemontools() {
    local options=$1 word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local option valued='' names=() value='' first after=0 kind
    shift
    COMPREPLY=()
    for option in $options; do
        names+=("${option%%:*}")
        [[ $option != *:* ]] || valued+=${option:1:1}
        [[ $option != "$before":* ]] || value=${option#*:}
    done
    _daemontools_first "$valued"
    if ((first == COMP_CWORD)) && [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "${names[*]}" -- "$word")
        return
    fi
    # The word is the value of the preceding option.
    ((first <= COMP_CWORD)) || set --
    kind=$value
    [[ $1 != services || $2 != command ]] || _daemontools_after_dashes
    ((!after)) || { first=$after; set -- command; }
    for kind; do
        if ((first == COMP_CWORD)) || [[ $kind == command ]] || [[ $kind == *s ]]; then
            break
        fi
        ((++first))
        kind=
    done
    case $kind in
        service | services) _daemontools_services "$word" ;;
        logs) _daemontools_services "$word" logs ;;
        time) _daemontools_times "$word" ;;
        names) _daemontools_names "$word" ;;
        order) mapfile -t COMPREPLY < <(compgen -W 'status up down once pause cont hup alarm interrupt quit 1 2 term kill exit start stop restart reload shutdown check try-restart force-stop force-reload force-restart force-shutdown' -- "$word") ;;
        level) mapfile -t COMPREPLY < <(cd /etc/runit/runsvdir 2>/dev/null && compgen -d -- "$word") ;;
        directory | directories) _daemontools_files -d "$word" ;;
        file) _daemontools_files -f "$word" ;;
        group) mapfile -t COMPREPLY < <(compgen -g -- "$word") ;;
        account) mapfile -t COMPREPLY < <(compgen -u -- "$word") ;;
        command) _daemontools_command "$first" "$word" ;;
    esac
}

_daemontools_envdir() { _daemontools '' directory command; }
complete -F _daemontools_envdir envdir
_daemontools_envuidgid() { _daemontools '' account command; }
complete -F _daemontools_envuidgid envuidgid
_daemontools_fghack() { _daemontools '' command; }
complete -F _daemontools_fghack fghack
_daemontools_multilog() { _daemontools '' directories; }
complete -F _daemontools_multilog multilog
_daemontools_pgrphack() { _daemontools '' command; }
complete -F _daemontools_pgrphack pgrphack
_daemontools_sdnotify() { _daemontools '' number command; }
complete -F _daemontools_sdnotify sdnotify
_daemontools_setlock() { _daemontools '-n -N -x -X' file command; }
complete -F _daemontools_setlock setlock
_daemontools_setuidgid() { _daemontools '-s' account command; }
complete -F _daemontools_setuidgid setuidgid
_daemontools_softlimit() { _daemontools '-a: -c: -d: -f: -l: -m: -o: -p: -r: -s: -t:' command; }
complete -F _daemontools_softlimit softlimit
_daemontools_supervise() { _daemontools '-e' service; }
complete -F _daemontools_supervise supervise
_daemontools_svc() { _daemontools '-u -d -o -x -p -c -h -a -i -t -k -q -1 -2 -w -+ -=' services; }
complete -F _daemontools_svc svc
_daemontools_svlog() { _daemontools '-f -n: -s:time -u:time -g: -v -l -U -r -j -c:file -V' logs; }
complete -F _daemontools_svlog svlog
_daemontools_svok() { _daemontools '' service; }
complete -F _daemontools_svok svok
_daemontools_svperms() { _daemontools '-u:account -g:group -G:group -V' services; }
complete -F _daemontools_svperms svperms
_daemontools_svps() { _daemontools '-j -m -w -V -c:' directory; }
complete -F _daemontools_svps svps
_daemontools_svscan() { _daemontools '-e' directory; }
complete -F _daemontools_svscan svscan
_daemontools_svstat() { _daemontools '' services; }
complete -F _daemontools_svstat svstat
_daemontools_svwait() { _daemontools '-u -U -d -D -r -R -x -a -o -V -t:' services command; }
complete -F _daemontools_svwait svwait
_daemontools_tai64nlocal() { _daemontools '-g -i' ; }
complete -F _daemontools_tai64nlocal tai64nlocal
