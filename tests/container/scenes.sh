# shellcheck shell=sh disable=SC2154
# The scenes of make check-container, for tests/container.sh.
#
# Each scene runs containers of $image with $scanner as process 1, and prints what it
# saw. A scene's directory on the host is the scan directory of its container. Times
# are those from the signal to the end of the container. Tests have only lower bounds.

scenes='written nothing stop exit_codes read_only supervise_directories any_user
    health names second_term ignored_term timeout_kill stopped full closed blocked
    dead_reader newline megabyte'

# Ends half a second after SIGTERM, with a last line.
POLITE="trap 'sleep 0.5; echo last words; exit' TERM
echo hello
while :; do sleep 0.1; done"

# Writes numbered lines until SIGTERM, then their number.
WRITER="trap 'stop=1' TERM
n=0
while [ -z \"\${stop:-}\" ]; do
    m=\$((n + 100))
    while [ \$n -lt \$m ]; do n=\$((n + 1)); echo \"line \$n\"; done
    sleep 0.05
done
echo \"end \$n\""

LOGGER='exec multilog s16777215 ./main'

# Runs all scenes, or $SCENES, even after a failed one.
run_scenes() {
    failures=
    for scene in ${SCENES:-$scenes}; do
        set +e
        (
            set -e
            "scene_$scene"
        )
        [ $? = 0 ] || failures="$failures $scene"
        set -e
    done
    [ -z "$failures" ] || { echo "failed:$failures"; exit 1; }
}

fail_scene() {
    printf '%s: failed: %s\n' "$name" "$*"
    podman logs "$name" 2>&1 | cut -c1-200 | tail -n 20
    remove
    exit 1
}

saw() { printf '%s: %s\n' "${name#"$image-$scanner-"}" "$*"; }

# begin NAME: a container of that name with an empty scan directory.
begin() {
    name=$image-$scanner-$1
    dir=$work/scenes/$name
    mkdir -p "$dir"
    chmod 755 "$dir"
    case $scanner in
        svscan) command='svscan -e /etc/service' ;;
        runsvdir) command='runsvdir -P /etc/service' ;;
    esac
}

# script FILE TEXT
script() {
    mkdir -p "$dir/${1%/*}"
    printf '#!/bin/sh\n%s\n' "$2" >"$dir/$1"
    chmod 755 "$dir/$1"
}

# service NAME RUN [LOGGER]
service() {
    script "$1/run" "$2"
    [ -z "${3:-}" ] || script "$1/log/run" "$3"
}

# The options of each container.
run() {
    podman run --name "$name" --network none --cgroup-parent "$CONTAINER_CGROUP" \
        --ulimit nofile=1024:1024 --ulimit nproc=4096:4096 --health-interval disable "$@"
}

# start [OPTION...]: starts the container with the command, a shell's if it has
# redirections.
start() {
    # shellcheck disable=SC2086 # one word for each argument
    case $command in
        *'>'*) set -- "$@" "check/$image" sh -c "exec $command" ;;
        *) set -- "$@" "check/$image" $command ;;
    esac
    run --detach --volume "$dir:/etc/service" "$@" >/dev/null || fail_scene "podman run"
}

# start_read_only [OPTION...]: with a read-only root and scan directory.
start_read_only() {
    # shellcheck disable=SC2086 # one word for each argument
    run --detach --read-only --read-only-tmpfs=false --volume "$dir:/etc/service:ro" \
        "$@" "check/$image" $command >/dev/null || fail_scene "podman run"
}

inside() { podman exec "$name" "$@"; }
output() { podman logs "$name" 2>&1; }
in_output() { output | grep -q -e "$1"; }
has() { grep -q -e "$1" "$2"; }
running() { [ "$(podman inspect --format '{{.State.Running}}' "$name")" = true ]; }

# wait_until COMMAND...: repeats the command for up to 60 seconds, until it succeeds.
wait_until() {
    deadline=$(($(date +%s) + 60))
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$deadline" ] || fail_scene "timed out: $*"
        sleep 0.2
    done
}

# signal NAME: sends it to process 1 from outside, as docker kill does.
signal() {
    began=$(date +%s%3N)
    podman kill --signal "$1" "$name" >/dev/null || fail_scene "podman kill"
}

# ended CODE: waits for the end of the container, and checks its exit code.
ended() {
    code=$(podman wait "$name")
    took=$(($(podman inspect --format '{{.State.FinishedAt.UnixMilli}}' "$name") - began))
    [ "$code" = "$1" ] || fail_scene "exit code $code after $took ms, not $1"
}

# stop CODE: as docker stop does, without its timeout.
stop() {
    began=$(date +%s%3N)
    podman stop --time 120 "$name" >/dev/null || fail_scene "podman stop"
    ended "$1"
}

# at_least MS: checks the time from the signal to the end.
at_least() { [ "$took" -ge "$1" ] || fail_scene "ended after $took ms, before $1 ms"; }

remove() { podman rm --force --time 0 "$name" >/dev/null; }

# counted END: checks that standard input is line 1 to line N in this order. With
# END=end, that `end N` follows. With END=part, the last line may be incomplete.
# Prints N.
counted() {
    awk -v end="$1" '
        last || wrong { wrong = 1; exit }
        $0 == "line " n + 1 { n++; next }
        end == "end" && $0 == "end " n { last = 1; next }
        end == "part" && index("line " n + 1 "\nend " n "\n", $0) { last = 1; next }
        { wrong = 1 }
        END {
            if (wrong || end == "end" && !last) { print "wrong after line " n; exit 1 }
            print n
        }'
}

# log_of SERVICE: the lines of its log directory.
log_of() { cat "$dir/$1/log/main"/@* "$dir/$1/log/main/current" 2>/dev/null; }
lines_of() { lines=$(log_of "$1" | counted "$2") || fail_scene "log of $1: $lines"; }

# The services of the image that packaging/container/Containerfile makes.
written_services() {
    dir=$1
    service web "$POLITE" "exec multilog 'pweb: ' 1"
    service job "$POLITE" "exec multilog t 'pjob: ' 1"
}

# The Containerfile's own command.
scene_written() {
    [ "$image" = debian ] && [ "$scanner" = svscan ] || return 0
    begin written
    run --detach check/written >/dev/null
    wait_until in_output '^web: hello$'
    wait_until in_output '^@4[0-9a-f]* job: hello$'
    inside svwait -t 60000 -u /etc/service/web /etc/service/job || fail_scene "svwait"
    inside svstat /etc/service/web /etc/service/web/log
    stop 0
    at_least 500
    for service in web job; do in_output "$service: last words\$" || fail_scene "no last words of $service"; done
    saw "Containerfile: exit 0 after $took ms, all lines in the output"
    remove
}

# Without a shell, services are links to programs.
nothing_services() {
    mkdir -p "$1/s/log"
    ln -s /usr/bin/tai64n "$1/s/run"
    ln -s /usr/bin/tai64n "$1/s/log/run"
}

# An image of the programs alone.
scene_nothing() {
    [ "$image" = empty ] || return 0
    begin nothing
    case $scanner in
        svscan) set -- ;;
        runsvdir) set -- runsvdir /service ;;
    esac
    mkfifo "$dir/input"
    # The descriptor keeps the FIFO open for writing.
    exec 9<>"$dir/input"
    run --interactive --sig-proxy=false check/nothing "$@" <"$dir/input" 9>&- >/dev/null &
    wait_until running
    inside svwait -t 60000 -u /service/s /service/s/log || fail_scene "svwait"
    echo 'to stdin' >&9
    wait_until in_output '^@4[0-9a-f]* @4[0-9a-f]* to stdin$'
    stop 0
    saw "exit 0 after $took ms, $(podman image inspect --format '{{.Size}}' check/nothing) bytes in the image"
    exec 9>&-
    remove
}

# All services stop at once, each before its logger.
scene_stop() {
    begin stop-idle
    service a 'exec sleep 1000' "$LOGGER"
    service b 'exec sleep 1000' "$LOGGER"
    start
    wait_until inside svwait -t 60000 -u /etc/service/a /etc/service/a/log /etc/service/b /etc/service/b/log
    stop 0
    saw "services that end at once: exit 0 after $took ms"
    remove

    begin stop
    for pair in a:b b:a; do
        other=${pair#*:}
        service "${pair%:*}" "trap ': >told; until [ -e ../$other/told ]; do sleep 0.1; done
            sleep 0.5; echo last words; exit' TERM
            echo hello
            while :; do sleep 0.1; done" "$LOGGER"
    done
    service writer "$WRITER" "$LOGGER"
    start
    for file in a/log b/log writer/log; do wait_until [ -s "$dir/$file/main/current" ]; done
    stop 0
    at_least 500
    for service in a b; do
        [ "$(log_of $service | tr '\n' ,)" = 'hello,last words,' ] || fail_scene "log of $service: $(log_of $service)"
    done
    lines_of writer end
    # multilog gives a closed file this mode.
    for service in a b writer; do
        [ -x "$dir/$service/log/main/current" ] || fail_scene "the log of $service was not closed"
    done
    saw "exit 0 after $took ms, all $lines lines in the log"
    remove
}

scene_exit_codes() {
    for pair in INT:0 HUP:111; do
        [ "$pair" != HUP:111 ] || [ "$scanner" = runsvdir ] || continue
        begin "${pair%:*}"
        service web "$POLITE" "$LOGGER"
        start
        wait_until [ -s "$dir/web/log/main/current" ]
        signal "${pair%:*}"
        ended "${pair#*:}"
        log_of web | grep -q 'last words' || fail_scene "no last words"
        saw "exit $code after $took ms"
        remove
    done
    [ "$scanner" = svscan ] || return 0
    for pair in 'exit 7:7' 'kill -KILL $$:137'; do
        begin "essential-${pair#*:}"
        service web "$POLITE" "$LOGGER"
        # Ends for good when the other service has logged.
        service job "until [ -s ../web/log/main/current ]; do sleep 0.1; done; ${pair%:*}"
        script job/finish 'exit 125'
        : >"$dir/job/essential"
        began=$(date +%s%3N)
        start
        ended "${pair#*:}"
        log_of web | grep -q 'last words' || fail_scene "no last words"
        saw "exit $code, with the other service stopped in order"
        remove
    done
}

# Prints whether the root is read-only, and then ends politely.
PROBE="(: >/x) 2>/dev/null && echo writable || echo read-only
$POLITE"

# link_supervise DIRECTORY SERVICE...: puts the supervise directory of each there.
link_supervise() {
    state=$1
    shift
    for service; do
        ln -s "$state/$(echo "$service" | tr / .)" "$dir/$service/supervise"
    done
}

# read_only_output: checks and describes a container whose logger writes to its output.
read_only_output() {
    wait_until in_output '^web: hello$'
    inside svwait -t 60000 -u /etc/service/web /etc/service/web/log || fail_scene "svwait"
    inside cat /var/log/web/current | grep -q '^web: hello$' || fail_scene "no line in the log directory"
    in_output '^web: read-only$' || fail_scene "the root is writable"
    stop 0
    in_output '^web: last words$' || fail_scene "no last words"
}

scene_read_only() {
    logger="exec multilog 'pweb: ' 1 /var/log/web"
    begin read-only
    service web "$PROBE" "$logger"
    case $scanner in
        svscan) set -- --env SUPERVISEDIR=/run/svc ;;
        runsvdir) link_supervise /run web web/log; set -- ;;
    esac
    start_read_only --tmpfs /run --tmpfs /var/log "$@"
    read_only_output
    saw "exit 0 after $took ms"
    remove
    [ "$scanner" = svscan ] || return 0

    begin read-only-links
    service web "$PROBE" "$logger"
    ln -s /run/a/b/web "$dir/web/supervise"
    ln -s /run/a/b/web.log "$dir/web/log/supervise"
    start_read_only --tmpfs /run --tmpfs /var/log
    read_only_output
    saw "parents made below an empty tmpfs, exit 0 after $took ms"
    remove

    begin read-only-supervisedir
    service web "$PROBE" "$logger"
    began=$(date +%s%3N)
    start_read_only --env SUPERVISEDIR=/svc
    ended 111
    [ "$(output | grep -c .)" = 1 ] || fail_scene "more than one message"
    saw "exit 111: $(output)"
    remove
}

# SUPERVISEDIR: services of one name, a relative value, and a collision of names.
scene_supervise_directories() {
    [ "$scanner" = svscan ] || return 0
    begin one-name
    for service in one two; do
        service ".sv/$service/web" "echo $service; exec sleep 1000"
        ln -s ".sv/$service/web" "$dir/$service"
    done
    # The characters of the path before the colon become the same name.
    service '.sv/x:y' 'echo x:y; exec sleep 1000'
    service '.sv/x/y' 'echo x/y; exec sleep 1000'
    ln -s .sv/x:y "$dir/three"
    start --env SUPERVISEDIR=/run/svc/dirs
    wait_until inside svwait -t 60000 -u /etc/service/one /etc/service/two /etc/service/three
    ln -s .sv/x/y "$dir/four"
    wait_until in_output '^supervise: fatal: unable to acquire'
    names=$(inside ls /run/svc/dirs | tr '\n' ' ')
    [ "$names" = 'etc:service:.sv:one:web etc:service:.sv:two:web etc:service:.sv:x:y ' ] || fail_scene "$names"
    ! in_output '^x/y$' || fail_scene "two services in one directory"
    stop 0
    saw "$names, exit 0 after $took ms; $(output | grep -m 1 fatal)"
    remove

    begin relative
    service web "$POLITE" "$LOGGER"
    start --env SUPERVISEDIR=state/of/supervise
    wait_until [ -s "$dir/web/log/main/current" ]
    inside svstat /etc/service/web | grep ': up ' >/dev/null || fail_scene "svstat"
    for file in web web/log; do
        [ -e "$dir/$file/state/of/supervise/status" ] && [ ! -e "$dir/$file/supervise" ] ||
            fail_scene "another directory of $file"
    done
    stop 0
    saw "state/of/supervise, exit 0 after $took ms"
    remove
}

# A uid that no file names, on a read-only root. This runc ignores the mode of a
# tmpfs on a directory of the image; the directories here are not in the image.
scene_any_user() {
    begin any-user
    service web "echo \"\$(id -u):\$(id -g)\"
        grep 12345 /etc/passwd
        setuidgid :12345:0 chpst -u :12345:0 echo same
        setuidgid :12346:0 echo other || echo \"refused \$?\"
        $POLITE" "exec multilog 'pweb: ' 1 /logs/web"
    case $scanner in
        svscan) set -- --env SUPERVISEDIR=/state/svc ;;
        runsvdir) link_supervise /state web web/log; set -- ;;
    esac
    start_read_only --user 12345 --passwd=false "$@" \
        --tmpfs /state:mode=1777 --tmpfs /logs:mode=1777
    wait_until in_output '^web: hello$'
    stop 0
    for line in 12345:0 same 'refused 111' 'last words'; do
        in_output "^web: $line\$" || fail_scene "no line: $line"
    done
    ! in_output '^web: .*:x:12345:' || fail_scene "passwd has an entry"
    saw "exit 0 after $took ms: $(output | tr '\n' ',')"
    remove
}

# The exit code of podman healthcheck run.
health() {
    code=0
    podman healthcheck run "$name" >/dev/null || code=$?
    [ "$code" = "$1" ]
}

scene_health() {
    begin health
    case $scanner in
        svscan)
            service web 'until [ -e go ]; do sleep 0.1; done; echo >&3; exec sleep 1000'
            echo 3 >"$dir/web/notification-fd"
            ready=-U
            ;;
        runsvdir)
            service web 'exec sleep 1000'
            : >"$dir/web/down"
            ready=-u
            ;;
    esac
    start --health-cmd "[\"svwait\",\"-t\",\"500\",\"$ready\",\"/etc/service/web\"]"
    wait_until inside svok /etc/service/web
    health 1 || fail_scene "healthy before it is ready: $code"
    : >"$dir/web/go"
    [ "$scanner" = svscan ] || inside sv up /etc/service/web >/dev/null
    wait_until health 0
    stop 0
    saw "svwait $ready: unhealthy, then healthy; exit 0 after $took ms"
    remove
}

# Several services at once in the output of the container, each line with its name.
scene_names() {
    begin names
    for service in a b c; do
        label=
        [ "$service" != c ] || label=t
        service "$service" "n=0
            while [ \$n -lt 2000 ]; do n=\$((n + 1)); echo \"line \$n\"; done
            echo \"end 2000\"
            : >written
            exec sleep 1000" "exec multilog $label 'p$service: ' 1"
    done
    start
    for service in a b c; do wait_until [ -e "$dir/$service/written" ]; done
    stop 0
    ! output | grep -v -E '^(a: |b: |@4[0-9a-f]{23} c: )(line|end) [0-9]+$' || fail_scene "a line without a name"
    for service in a b c; do
        lines=$(output | sed -n "s/^.*$service: //p" | counted end) || fail_scene "$service: $lines"
    done
    saw "$(output | wc -l) lines of three services, each whole and with its name"
    remove
}

# Whether process 1 has taken all signals that were sent.
no_pending_signal() {
    ! grep -E '^(SigPnd|ShdPnd):' "/proc/$(podman inspect --format '{{.State.Pid}}' "$name")/status" |
        grep -q '[1-9a-f]$\|[1-9a-f][0-9a-f]*$'
}

# A second SIGTERM: svscan ignores it, and runsvdir kills the services.
scene_second_term() {
    begin second-term
    service web "trap ': >told; until [ -e release ]; do sleep 0.1; done; echo last words; exit' TERM
        echo hello
        while :; do sleep 0.1; done" "$LOGGER"
    echo 0 >"$dir/web/timeout-kill"
    start
    wait_until [ -s "$dir/web/log/main/current" ]
    signal TERM
    wait_until [ -e "$dir/web/told" ]
    signal TERM
    case $scanner in
        svscan)
            wait_until no_pending_signal
            running || fail_scene "ended by the second SIGTERM"
            : >"$dir/web/release"
            ended 0
            wanted='hello,last words,'
            ;;
        runsvdir)
            ended 0
            wanted='hello,'
            ;;
    esac
    log=$(log_of web | tr '\n' ,)
    [ "$log" = "$wanted" ] || fail_scene "log: $log"
    saw "exit 0 $took ms after the second SIGTERM, log: $log"
    remove
}

# A service that ignores SIGTERM is killed, and its logger has all lines.
scene_ignored_term() {
    begin ignored-term
    service web "$(echo "$WRITER" | sed "s/'stop=1'/''/")" "$LOGGER"
    echo 1500 >"$dir/web/timeout-kill"
    start
    wait_until [ -s "$dir/web/log/main/current" ]
    stop 0
    at_least 1500
    # supervise -e has the same timeout, and may kill the service before svscan does.
    [ "$scanner" = svscan ] || in_output 'warning: unable to stop web: timed out' || fail_scene "no warning"
    lines_of web part
    saw "exit 0 after $took ms, $lines lines without a gap; $(output)"
    remove
}

# timeout-kill that cannot be read, or understood: a warning, and 10 seconds.
scene_timeout_kill() {
    begin timeout-kill
    for service in unreadable malformed; do
        service "$service" "trap '' TERM; : >up; while :; do sleep 0.1; done"
    done
    echo soon >"$dir/malformed/timeout-kill"
    chown -R 12345 "$dir"
    echo 1000 >"$dir/unreadable/timeout-kill"
    chmod 0 "$dir/unreadable/timeout-kill"
    start --user 12345 --passwd=false
    for service in unreadable malformed; do wait_until [ -e "$dir/$service/up" ]; done
    stop 0
    at_least 10000
    for warning in 'unable to read .*unreadable/timeout-kill: access denied' 'malformed/timeout-kill' \
        'unable to stop unreadable: timed out' 'unable to stop malformed: timed out'; do
        in_output "warning: .*$warning\|warning: $warning" || fail_scene "no warning: $warning"
    done
    saw "exit 0 after $took ms:"
    output | sort -u | sed 's/^/    /'
    remove
}

# A stopped supervise or runsv does not keep the container.
scene_stopped() {
    begin stopped
    service web "$POLITE" "$LOGGER"
    echo 3000 >"$dir/web/timeout-kill"
    start
    wait_until [ -s "$dir/web/log/main/current" ]
    # shellcheck disable=SC2016 # expanded in the container
    inside sh -c 'for process in /proc/[0-9]*; do
        case $(cat $process/comm 2>/dev/null) in
            supervise | runsv)
                [ "$(readlink $process/cwd)" != /etc/service/web ] || kill -STOP ${process#/proc/} ;;
        esac
    done'
    stop 0
    log=$(log_of web | tr '\n' ,)
    case $log in hello, | 'hello,last words,') ;; *) fail_scene "log: $log" ;; esac
    saw "exit 0 after $took ms, log: $log $(output)"
    remove
}

# A closed output costs no line of the log directory.
scene_closed() {
    begin closed
    command="$command >&- 2>&-"
    service web "$WRITER" "$LOGGER 'pweb: ' 1"
    # A logger without another word exits, and is restarted.
    service bare 'while :; do echo line; sleep 0.05; done' "exec multilog 'pbare: ' 1"
    echo 1000 >"$dir/bare/timeout-kill"
    start
    wait_until [ -s "$dir/web/log/main/current" ]
    stop 0
    lines_of web end
    saw "exit 0 after $took ms, all $lines lines in the log"
    remove
}

# On a full disk, the logger pauses with what it has read in the log directory.
scene_full() {
    begin full
    command="$command >/dev/full"
    service web "$WRITER" "$LOGGER 'pweb: ' 1"
    for directory in web web/log; do echo 1000 >"$dir/$directory/timeout-kill"; done
    start
    wait_until in_output '^multilog: warning: unable to write to standard output, pausing: out of disk space$'
    wait_until [ -s "$dir/web/log/main/current" ]
    stop 0
    lines_of web part
    saw "exit 0 after $took ms, $lines lines in the log without a gap"
    remove
}

# steady FILE: whether the size was the same ten times in a row.
steady() {
    size=$(stat -c %s "$1")
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        sleep 0.1
        [ "$(stat -c %s "$1")" = "$size" ] || return 1
    done
}

# Stops the process that reads the output of the container, until the logger is
# blocked.
block_output() {
    service web "$(echo "$WRITER" | sed 's/sleep 0.05/:/')" "$LOGGER 'pweb: ' 1"
    start
    wait_until in_output '^web: line 1$'
    reader=$(podman inspect --format '{{.State.ConmonPid}}' "$name")
    first=$(podman inspect --format '{{.State.Pid}}' "$name")
    kill -STOP "$reader"
    wait_until steady "$dir/web/log/main/current"
}

# A reader of the output that stops for a while costs no line.
scene_blocked() {
    begin blocked
    block_output
    began=$(date +%s%3N)
    kill -TERM "$first"
    wait_until no_pending_signal
    kill -CONT "$reader"
    ended 0
    lines_of web end
    shown=$(output | sed -n 's/^web: //p' | counted end) || fail_scene "output: $shown"
    [ "$shown" = "$lines" ] || fail_scene "$lines lines in the log, $shown in the output"
    saw "exit 0 after $took ms, $lines lines in the log and in the output"
    remove
}

# A reader that never continues does not keep the container.
scene_dead_reader() {
    begin dead-reader
    mkdir -p "$dir/web/log"
    echo 1000 >"$dir/web/timeout-kill"
    echo 1000 >"$dir/web/log/timeout-kill"
    block_output
    began=$(date +%s%3N)
    kill -TERM "$first"
    wait_until grep -q '^State:.Z' "/proc/$first/status"
    took=$(($(date +%s%3N) - began))
    kill -CONT "$reader"
    waited=$took
    ended 0
    lines_of web part
    saw "exit 0 after $waited ms, $lines lines in the log without a gap"
    remove
}

# A prefix with a newline is an error of the logger; the container still stops.
scene_newline() {
    begin newline
    service web "$POLITE" "exec multilog 'pa
b' 1"
    echo 1000 >"$dir/web/timeout-kill"
    echo 1000 >"$dir/web/log/timeout-kill"
    start
    wait_until in_output '^multilog: fatal: p takes a prefix without newlines$'
    ! in_output hello || fail_scene "a logger has read"
    stop 0
    saw "exit 0 after $took ms: $(output | grep -m 1 fatal)"
    remove
}

# Lines of a megabyte from twenty writers, whole.
scene_megabyte() {
    begin megabyte
    letters='a b c d e f g h i j k l m n o p q r s t'
    for letter in $letters; do
        service "$letter" "for _ in 1 2; do head -c 1048576 /dev/zero | tr '\\0' $letter; echo; done
            : >written
            exec sleep 1000" "exec multilog 'p$letter: ' 1"
    done
    start
    for letter in $letters; do wait_until [ -e "$dir/$letter/written" ]; done
    stop 0
    for letter in $letters; do
        for _ in 1 2; do
            printf '%s: ' "$letter"
            head -c 1048576 /dev/zero | tr '\0' "$letter"
            echo
        done
    done >"$dir/wanted"
    output | LC_ALL=C sort | cmp - "$dir/wanted" || fail_scene "lines are not whole"
    saw "40 lines of 1048576 bytes, whole; exit 0 after $took ms"
    rm "$dir/wanted"
    remove
}
