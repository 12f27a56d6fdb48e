# Completion of daemontools for fish. Generated from tests/completions; edit it there.

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

complete -c envdir -x -a "(__daemontools '' directory command)"
complete -c envuidgid -x -a "(__daemontools '' account command)"
complete -c fghack -x -a "(__daemontools '' command)"
complete -c multilog -x -a "(__daemontools '' directories)"
complete -c pgrphack -x -a "(__daemontools '' command)"
complete -c sdnotify -x -a "(__daemontools '' number command)"
complete -c setlock -x -a "(__daemontools '' file command)"
complete -c setlock -s n -d 'fail if the lock is held'
complete -c setlock -s N -d 'wait while the lock is held (default)'
complete -c setlock -s x -d 'exit 0 silently if locking fails'
complete -c setlock -s X -d 'report a failed lock and exit 111 (default)'
complete -c setuidgid -x -a "(__daemontools '' account command)"
complete -c setuidgid -s s -d 'the account\'s supplementary groups as well'
complete -c softlimit -x -a "(__daemontools 'acdflmoprst' command)"
complete -c softlimit -s a -x -d 'total memory'
complete -c softlimit -s c -x -d 'core file size'
complete -c softlimit -s d -x -d 'data segment size'
complete -c softlimit -s f -x -d 'output file size'
complete -c softlimit -s l -x -d 'locked memory'
complete -c softlimit -s m -x -d 'memory: sets -d, -s, -l and -a'
complete -c softlimit -s o -x -d 'open descriptors'
complete -c softlimit -s p -x -d 'processes of the user'
complete -c softlimit -s r -x -d 'resident memory'
complete -c softlimit -s s -x -d 'stack size'
complete -c softlimit -s t -x -d 'seconds of CPU time'
complete -c supervise -x -a "(__daemontools '' service)"
complete -c supervise -s e -d 'extended: apply the further files of a service directory'
complete -c svc -x -a "(__daemontools '' services)"
complete -c svc -s u -d 'up'
complete -c svc -s d -d 'down'
complete -c svc -s o -d 'once'
complete -c svc -s x -d 'exit'
complete -c svc -s p -d 'pause'
complete -c svc -s c -d 'continue'
complete -c svc -s h -d 'hup'
complete -c svc -s a -d 'alarm'
complete -c svc -s i -d 'interrupt'
complete -c svc -s t -d 'term'
complete -c svc -s k -d 'kill'
complete -c svc -s q -d 'quit'
complete -c svc -s 1 -d 'usr1'
complete -c svc -s 2 -d 'usr2'
complete -c svc -s w -d 'winch'
complete -c svc -s + -d 'group'
complete -c svc -s = -d 'process alone'
complete -c svlog -x -a "(__daemontools 'nsugc' logs)"
complete -c svlog -s f -d 'print further lines as they come'
complete -c svlog -s n -x -d 'print the last lines only'
complete -c svlog -s s -x -a "(__daemontools_times)" -d 'begin with this time'
complete -c svlog -s u -x -a "(__daemontools_times)" -d 'end with this time'
complete -c svlog -s g -x -d 'print lines that match'
complete -c svlog -s v -d 'print lines that do not match'
complete -c svlog -s l -d 'local time'
complete -c svlog -s U -d 'UTC'
complete -c svlog -s r -d 'lines as they are'
complete -c svlog -s j -d 'print JSON'
complete -c svlog -s c -x -a "(__fish_complete_path)" -d 'continue after the place in this file'
complete -c svlog -s V -d 'print the version'
complete -c svok -x -a "(__daemontools '' service)"
complete -c svperms -x -a "(__daemontools 'ugG' services)"
complete -c svperms -s u -x -a "(__fish_complete_users)" -d 'the user that may control'
complete -c svperms -s g -x -a "(__fish_complete_groups)" -d 'the group that may control'
complete -c svperms -s G -x -a "(__fish_complete_groups)" -d 'the group that may look'
complete -c svperms -s V -d 'print the version'
complete -c svps -x -a "(__daemontools 'c' directory)"
complete -c svps -s j -d 'print JSON'
complete -c svps -s m -d 'print metrics'
complete -c svps -s w -d 'show the table on a terminal, kept up to date'
complete -c svps -s V -d 'print the version'
complete -c svps -s c -x -d 'check the services, for a monitor'
complete -c svscan -x -a "(__daemontools '' directory)"
complete -c svscan -s e -d 'extended: run supervise -e for each service, handle signals'
complete -c svstat -x -a "(__daemontools '' services)"
complete -c svwait -x -a "(__daemontools 't' services command)"
complete -c svwait -s u -d 'wait until up'
complete -c svwait -s U -d 'wait until up and ready'
complete -c svwait -s d -d 'wait until down'
complete -c svwait -s D -d 'wait until down and finished'
complete -c svwait -s r -d 'wait until restarted'
complete -c svwait -s R -d 'wait until restarted and ready'
complete -c svwait -s x -d 'wait until supervise has exited'
complete -c svwait -s a -d 'wait for all services'
complete -c svwait -s o -d 'wait for one service'
complete -c svwait -s V -d 'print the version'
complete -c svwait -s t -x -d 'timeout in milliseconds; 0 disables it'
complete -c tai64nlocal -x -a "(__daemontools '' )"
complete -c tai64nlocal -s g -d 'UTC instead of local time'
complete -c tai64nlocal -s i -d 'RFC 3339 format'
