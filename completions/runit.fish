# Completion of runit for fish. Generated from tests/completions; edit it there.

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
            string split ' ' 'status up down once pause cont hup alarm interrupt quit 1 2 term kill exit start stop restart reload shutdown check try-restart force-stop force-reload force-restart force-shutdown'
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

complete -c chpst -x -a "(__daemontools 'e/nUulLmdopfcrtb' command)"
complete -c chpst -s P -d 'run in a new session and process group'
complete -c chpst -s e -x -a "(__fish_complete_directories)" -d 'set variables from the files of a directory'
complete -c chpst -s / -x -a "(__fish_complete_directories)" -d 'change the root directory'
complete -c chpst -s n -x -d 'add to the nice value'
complete -c chpst -s U -x -a "(__fish_complete_users)" -d 'set UID and GID to those of a user'
complete -c chpst -s u -x -a "(__fish_complete_users)" -d 'run as user, user:group… or :uid:gid…'
complete -c chpst -s l -x -a "(__fish_complete_path)" -d 'hold a lock; wait while it is held'
complete -c chpst -s L -x -a "(__fish_complete_path)" -d 'hold a lock; fail if it is held'
complete -c chpst -s 0 -d 'close standard input'
complete -c chpst -s 1 -d 'close standard output'
complete -c chpst -s 2 -d 'close standard error'
complete -c chpst -s m -x -d 'limit data, stack, locked and total memory'
complete -c chpst -s d -x -d 'limit the data segment'
complete -c chpst -s o -x -d 'limit open descriptors'
complete -c chpst -s p -x -d 'limit the processes of the user'
complete -c chpst -s f -x -d 'limit the size of output files'
complete -c chpst -s c -x -d 'limit the size of core files'
complete -c chpst -s r -x -d 'limit resident memory'
complete -c chpst -s t -x -d 'limit CPU time'
complete -c chpst -s b -x -d 'argument 0 of the program'
complete -c chpst -s v -d 'warn about subdirectories of the -e directory'
complete -c chpst -s V -d 'show the version and the usage'
complete -c runsv -x -a "(__daemontools '' service)"
complete -c runsvchdir -x -a "(__daemontools '' level)"
complete -c runsvdir -x -a "(__daemontools '' directory)"
complete -c runsvdir -s P -d 'each runsv in a session of its own'
complete -c sv -x -a "(__daemontools 'w' order names)"
complete -c sv -s v -d 'wait until the command is complete'
complete -c sv -s w -x -d 'as -v, for at most this time'
complete -c sv -s V -d 'print version and usage'
complete -c svlogd -x -a "(__daemontools 'rRlb' directories)"
complete -c svlogd -s t -d 'add a label to each line; -tt, -ttt: a date'
complete -c svlogd -s r -x -d 'replace unprintable characters with this one'
complete -c svlogd -s R -x -d 'replace these characters too'
complete -c svlogd -s l -x -d 'length of the part of a line that is matched, reported and sent'
complete -c svlogd -s b -x -d 'buffer size, greater than len'
complete -c svlogd -s v -d 'report all events'
complete -c svlogd -s V -d 'print the version and the usage'
