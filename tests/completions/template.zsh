# Completion of @FAMILY@ for zsh. Generated from tests/completions; edit it there.

# Service directories, and directories that have subdirectories.
_daemontools_services() {
    _path_files -g '*(-/+_daemontools_leads)'
}

_daemontools_leads() {
    [[ -e $REPLY/run || -n $REPLY/*(#qN-/[1]) ]]
}

# The same, and log directories.
_daemontools_logs() {
    _path_files -g '*(-/+_daemontools_leads_to_logs)'
}

_daemontools_leads_to_logs() {
    [[ -e $REPLY/current ]] || _daemontools_leads
}

_daemontools_times() {
    local -a times=('10 min ago' '1 h ago' '1 d ago' ${(%):-%D{%Y-%m-%d}})
    compadd -a times
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
