#!/bin/sh
# Services, logs and commands in one scene, for make check-arch.
#
#   scene.sh BIN MODE
#
# BIN contains the programs. MODE is `emulated` if each of them is an emulator of
# its own, whose title is not the program's, and `system` on a kernel of the
# architecture. The shell and its commands must cope with the year 2040 and with
# files over 2 GiB; busybox on a 64-bit kernel does. Full paths, because busybox has
# commands of the same names.
set -eu
bin=$1
mode=$2
work=$(mktemp -d)
cd "$work"
PATH=$bin:$PATH
export PATH

fail() {
    printf 'scene: failed: %s\n' "$*" >&2
    # The errors of svscan, for the reader of the report.
    cat ./*.err >&2 2>/dev/null || :
    exit 1
}

# After a failure, ends the processes that are left.
finish() {
    "$bin/svc" -dx sv/* sv/*/log 2>/dev/null || :
    for pid in $started; do
        kill "$pid" 2>/dev/null || :
    done
    cd / && rm -rf "$work"
}
started=
trap finish EXIT
trap 'exit 130' INT TERM

# Waits until the command succeeds.
wait_for() {
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 1200 ] || fail "timed out: $*"
        sleep 0.1
    done
}

# Whether the output of a command matches a pattern of grep.
prints() {
    pattern=$1
    shift
    "$@" 2>&1 | grep -q -- "$pattern"
}

has_size() { [ "$(stat -c %s "$1")" -ge "$2" ]; }
old_files() { [ "$(find "$1" -name '@*' | wc -l)" -eq "$2" ]; }
ended() { ! kill -0 "$1"; }
title_has() { tr '\0' '\n' <"/proc/$title/cmdline" | grep -q "$1"; }

# A service of this content with a logger.
service() {
    mkdir -p "$1/log"
    printf '#!/bin/sh\n%s\n' "$2" >"$1/run"
    printf '#!/bin/sh\n%s\n' "$3" >"$1/log/run"
    chmod +x "$1/run" "$1/log/run"
}

large=$((3 << 30))

echo "svscan, supervise, multilog with rotation"
mkdir service
# 400 lines of 127 bytes with their labels, in files of 4096 bytes.
lines='n=0; while [ $n -lt 400 ]; do n=$((n + 1)); printf "%0100d\n" $n; done; exec sleep 1000'
service sv/echo "$lines" "exec $bin/multilog t s4096 n3 ./main"
service sv/down 'exec sleep 1000' "exec $bin/multilog t ./main"
: >sv/down/down
ln -s ../sv/echo ../sv/down service
touch -d '2040-01-01 00:00:00' sv/* sv/*/* service
mkfifo errors
$bin/readproctitle title "$(printf '%0200d' 0 | tr 0 .)" <errors &
title=$!
$bin/svscan service 2>errors &
svscan=$!
started=$svscan
wait_for "$bin/svok" service/echo
wait_for "$bin/svok" service/down/log
wait_for prints '^service/echo: up (pid [0-9]*) [0-9]* seconds$' "$bin/svstat" service/echo
wait_for prints '^service/down: down [0-9]* seconds$' "$bin/svstat" service/down
wait_for old_files sv/echo/log/main 2
wait_for grep -q '0400$' sv/echo/log/main/current

echo "the label of a line, as local time"
year=$(date +%Y)
TZ=UTC0 "$bin/tai64nlocal" <sv/echo/log/main/current >local
grep -q "^$year-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9]* 0*400\$" local || fail "$(cat local)"

echo "svc, and the pid in the status file: 32 bits, the lowest byte first"
pid_of() { "$bin/svstat" "$1" | sed -n 's/.*(pid \([0-9]*\)).*/\1/p'; }
pid_bytes() { od -A n -t u1 -j 12 -N 4 "$1/supervise/status" | {
    read -r a b c d
    echo $((a + (b << 8) + (c << 16) + (d << 24)))
}; }
first=$(pid_of service/echo)
[ "$(pid_bytes service/echo)" = "$first" ] || fail "pid $first, status $(pid_bytes service/echo)"
$bin/svc -t service/echo
restarted() { now=$(pid_of service/echo) && [ "$now" ] && [ "$now" != "$first" ]; }
wait_for restarted
$bin/svc -d service/echo
wait_for prints '^service/echo: down [0-9]* seconds, normally up$' "$bin/svstat" service/echo
$bin/svc -u service/down
wait_for prints '^service/down: up .*, normally down$' "$bin/svstat" service/down

echo "readproctitle"
ln -s nowhere service/broken
if [ "$mode" = emulated ]; then
    echo "not checked: the title, which is the emulator's"
else
    wait_for title_has broken
fi
rm service/broken

echo "svscan stops, then the services exit on command"
rm service/echo service/down
kill "$svscan"
wait "$svscan" 2>/dev/null || :
$bin/svc -dx sv/echo sv/down sv/echo/log sv/down/log
for directory in sv/echo sv/down sv/echo/log sv/down/log; do
    stopped() { ! "$bin/svok" "$directory"; }
    wait_for stopped
done
wait_for ended "$title"

echo "a log file of 3 GiB: multilog"
mkdir large
: >large/current
chmod 744 large/current
truncate -s $large large/current
touch -d '2040-01-01 00:00:00' large large/current
echo line | "$bin/multilog" t s16777215 n5 ./large
# The file was full: a new one has the line, and the old one counts for its size.
has_size "$(find large -name '@*.s')" $large || fail "$(ls -l large)"
grep -q ' line$' large/current || fail "$(ls -l large)"
echo more | "$bin/multilog" t S5000000000 s16777215 ./large
old_files large 1 || fail "S5000000000: $(ls -l large)"
echo more | "$bin/multilog" t S3000000000 s16777215 ./large
old_files large 0 || fail "S3000000000: $(ls -l large)"

echo "a log file of 3 GiB: svlogd"
mkdir lasting
: >lasting/current
chmod 744 lasting/current
truncate -s $large lasting/current
echo s0 >lasting/config
echo line | "$bin/svlogd" ./lasting
has_size lasting/current $((large + 5)) || fail "$(ls -l lasting)"
old_files lasting 0 || fail "$(ls -l lasting)"

echo "runsv and sv"
service sv/run 'exec sleep 1000' "exec $bin/svlogd -tt ."
touch -d '2040-01-01 00:00:00' sv/run sv/run/*
$bin/runsv sv/run 2>runsv.err &
runsv=$!
started=$runsv
wait_for prints '^run: \./sv/run: (pid [0-9]*) [0-9]*s; run: log: (pid [0-9]*) [0-9]*s$' "$bin/sv" status ./sv/run
$bin/sv -w 60 down ./sv/run >/dev/null
wait_for prints '^down: \./sv/run: [0-9]*s, normally up' "$bin/sv" status ./sv/run
$bin/sv -w 60 exit ./sv/run >/dev/null
wait_for ended "$runsv"

echo "runsvdir"
mkdir all
ln -s ../sv/run all
touch -d '2040-01-01 00:00:00' all
$bin/runsvdir all 2>runsvdir.err &
runsvdir=$!
wait_for prints '^run: \./all/run: ' "$bin/sv" status ./all/run
kill -HUP "$runsvdir"
wait_for ended "$runsvdir"
wait_for prints '^fail: \./sv/run: runsv not running$' "$bin/sv" status ./sv/run

echo "limits above 32 bits"
if grep -q '^Max file size  *unlimited  *unlimited ' /proc/self/limits; then
    $bin/softlimit -f 5000000000 cat /proc/self/limits >limits
    grep -q '^Max file size  *5000000000 ' limits || fail "$(cat limits)"
else
    echo "not checked: this process has a limit on file sizes"
fi

echo "scene: passed"
