# Completion of @FAMILY@ for zsh. Generated from tests/completions; edit it there.

# Service directories, and directories that have subdirectories.
_daemontools_services() {
    _path_files -g '*(-/+_daemontools_leads)'
}

_daemontools_leads() {
    [[ -e $REPLY/run || -n $REPLY/*(#qN-/[1]) ]]
}

# Services as sv accepts them: by path, or by name in sv's directory.
_daemontools_names() {
    local at=$SVDIR
    if [[ $PREFIX == [./~]* ]]; then
        _daemontools_services
        return
    fi
    [[ -n $at ]] || for at in /etc/service /service; do [[ ! -d $at ]] || break; done
    _path_files -W $at -g '*(-/+_daemontools_leads)'
}

# Services, and the program that may follow them and `--`.
_daemontools_services_command() {
    local -i dashes=${words[(i)--]}
    if (( dashes >= CURRENT )); then
        _daemontools_services
        return
    fi
    shift dashes words
    (( CURRENT -= dashes ))
    if (( CURRENT == 1 )); then
        _command_names -e
    else
        _normal
    fi
}

_daemontools_orders() {
    local -a orders=(@ORDERS@)
    compadd -a orders
}

local -a getopt=(-s -A '-*')
case $service in
