# Completion of @FAMILY@ for fish. Generated from tests/completions; edit it there.

# Service directories, and, with a final slash, directories that have
# subdirectories. The optional first argument is the base directory. With the
# second, log directories too.
function __daemontools_services --argument-names at logs
    set -l word (commandline -ct)
    for dir in (__fish_complete_directories "$at$word" '' | string replace -r '/?\t.*' '')
        set -l path (string replace -r '^~' $HOME -- $dir)
        if test -e $path/run
            echo $dir
            test -e $path/log/run; and echo $dir/log
        else if test -n "$logs"; and test -e $path/current
            echo $dir
        else if count $path/*/ >/dev/null
            echo $dir/
        end
    end
end

# Times of svlog.
function __daemontools_times
    printf '%s\n' '10 min ago' '1 h ago' '1 d ago' (date +%Y-%m-%d)
end

# Services as sv accepts them: by path, or by name in sv's directory.
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

# Candidates for a program. The first argument lists the letters of the options
# that take a value; the others are the kinds of the operands. The last kind
# applies to all remaining operands.
function __daemontools --argument-names valued
    set -l kinds $argv[2..]
    set -l words (commandline -opc)
    set -e words[1]
    # Skips the options by the rules of the programs' getopt.
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
    # A program may follow services and `--`.
    if test "$kinds" = 'services command'
        set -l dashes (contains -i -- -- $words)
        and set -e words[1..$dashes] kinds[1]
        or set -e kinds[2]
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
        case logs
            __daemontools_services '' logs
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

