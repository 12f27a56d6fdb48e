# Completion of @FAMILY@ for fish. Made by tests/completions: change it there.

# Directories of services, and of what may lead to them, which end in a slash.
# What is typed stands below the directory in the first argument, if any.
function __daemontools_services --argument-names at
    set -l word (commandline -ct)
    for dir in (__fish_complete_directories "$at$word" '' | string replace -r '/?\t.*' '')
        set -l path (string replace -r '^~' $HOME -- $dir)
        if test -e $path/run
            echo $dir
            test -e $path/log/run; and echo $dir/log
        else if count $path/*/ >/dev/null
            echo $dir/
        end
    end
end

# Services as sv calls them: by path, or by name in its directory.
function __daemontools_names
    if string match -qr '^[./~]' -- (commandline -ct)
        __daemontools_services
        return
    end
    set -l at $SVDIR
    for dir in /etc/service /service
        test -z "$at"; and test -d $dir; and set at $dir
    end
    __daemontools_services "$at/" | string replace -- "$at/" ''
end

# Candidates for a program of which the options with letters in the first
# argument take a value, and the operands are of the kinds that follow. The
# last kind holds for all operands that are left.
function __daemontools --argument-names valued
    set -l kinds $argv[2..]
    set -l words (commandline -opc)
    set -e words[1]
    # The options, as the programs' own getopt reads them.
    while set -q words[1]
        set -l word $words[1]
        switch $word
            case '--*'
                set -e words[1]
                break
            case '-?*'
                set -e words[1]
                test -n "$valued"
                and string match -qr -- "^-[$valued]\$" $word
                and set -e words[1]
            case '*'
                break
        end
    end
    while set -q words[1]; and set -q kinds[2]
        set -e words[1] kinds[1]
    end
    if set -q words[1]; and not string match -qr -- 's$|^command$' $kinds[1]
        return
    end
    switch "$kinds[1]"
        case service services
            __daemontools_services
        case names
            __daemontools_names
        case order
            string split ' ' '@ORDERS@'
        case level
            set -l levels /etc/runit/runsvdir/*/
            string replace -r '.*/(.+)/$' '$1' -- $levels
        case directory directories
            __fish_complete_directories (commandline -ct) ''
        case file
            __fish_complete_path (commandline -ct)
        case account
            __fish_complete_users
        case command
            set -l line (string escape -- $words) (commandline -ct)
            complete -C "$line"
    end
end

