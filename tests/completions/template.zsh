# Completion of daemontools for zsh. Made by tests/completions: change it there.

# Directories of services, and of what may lead to them.
_daemontools_services() {
    _path_files -g '*(-/+_daemontools_leads)'
}

_daemontools_leads() {
    [[ -e $REPLY/run || -n $REPLY/*(#qN-/[1]) ]]
}

local -a getopt=(-s -A '-*')
case $service in
