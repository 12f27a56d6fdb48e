#!/bin/sh
# make count: compares the instructions of the hot loops for a line, and of some
# starts, with benches/instructions.tsv. Unlike time, the counts hardly vary
# between runs and machines.
#
#     tests/instructions.sh PROGRAMS          fail if a count exceeds the budget
#     tests/instructions.sh PROGRAMS new      write the counts to the file
#
# The file has rows for programs with glibc and with musl. PROGRAMS are of one
# kind, and the rows of the other kind are neither compared nor changed.
set -eu
unset CDPATH
programs=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
budget=$(pwd)/benches/instructions.tsv

# Allowed excess over the budget, in percent. Loops differ between compilers.
# Starts also depend on the system: the C library reads the list of the process's
# mappings.
loop_margin=10
start_margin=25
lines=10000

skip() {
    echo "Instructions are not counted: $*."
    exit 0
}
command -v valgrind >/dev/null || {
    echo "Instructions are not counted: valgrind is not installed."
    [ "${CI:-}" != true ]
    exit
}
# memchr and the C library choose their loops by processor.
[ "$(uname -m)" = x86_64 ] || skip "the budget is one for x86-64"
grep -qw avx2 /proc/cpuinfo || skip "the budget is one for processors with AVX2"

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
trap 'exit 130' INT TERM
cd "$place"

# Lines of 89 bytes, and the same with labels, a hundred for a second.
awk -v lines="$lines" 'BEGIN {
    split("debug,info ,warn ,error", level, ",")
    for (n = 0; n < lines; n++) {
        text = sprintf("%s request %09d from 192.0.2.%03d served in %04d ms",
            level[n * 7 % 13 % 4 + 1], n, n % 250, n * 31 % 9000)
        printf "%-88s\n", text > "plain"
        printf "@40000000%08x%08x %-88s\n", 1763683200 + n / 100,
            n % 100 * 10000000 + 500, text > "stamped"
    }
}'
# glibc has names of this form in every program; musl has none.
if grep -qa GLIBC "$programs/multilog"; then
    build=glibc other=musl
else
    build=musl other=glibc
fi
echo "The programs use $build; the rows of $other are not counted."
if [ "$build" = glibc ]; then
    echo "make builds programs for musl if the standard library of that target is installed."
fi

mkdir env
echo Fido >env/NAME
echo dog >env/ANIMAL
: >env/EMPTY

# count INPUT PROGRAM ARGUMENT...: the instructions of a command, in a fixed
# environment.
count() {
    input=$1 program=$2
    shift 2
    rm -rf log report
    mkdir log
    env -i PATH=/nowhere TZ=UTC "$valgrind" --tool=callgrind --log-file=report \
        --callgrind-out-file=/dev/null "$programs/$program" "$@" \
        <"$input" >out 2>err || :
    sed -n 's/.*Collected : //p' report | grep . || {
        cat report err >&2
        return 1
    }
}
valgrind=$(command -v valgrind)

# loop NAME INPUT PROGRAM ARGUMENT...: instructions for one line.
loop() {
    name=$1 from=$2
    shift 2
    all=$(count "$from" "$@")
    start=$(count /dev/null "$@")
    printf '%s\t%s\t%s\n' "$name, $build" "$(awk -v n="$((all - start))" -v lines="$lines" \
        'BEGIN { printf "%.1f", n / lines }')" "$loop_margin" >>seen
}

# start NAME PROGRAM ARGUMENT...: instructions from beginning to end.
start() {
    name=$1
    shift
    all=$(count /dev/null "$@")
    printf '%s\t%s\t%s\n' "$name, $build" "$all" "$start_margin" >>seen
}

loop 'multilog t, a line' plain multilog t s16777215 ./log
loop 'multilog, a line' plain multilog s16777215 ./log
loop 'multilog t with four patterns, a line' plain multilog t \
    '-*' '+* error *' '-* from 192.0.2.1 *' '+* warn *' s16777215 ./log
# The first letters of these words are in no label, or always in the same place:
# other counts would depend on the time.
loop 'multilog t with four words, a line' plain multilog t \
    '-*' '+*request*' '+*timeout*' '-*404*' s16777215 ./log
loop 'svlogd -t, a line' plain svlogd -t ./log
loop 'tai64n, a line' plain tai64n
loop 'tai64nlocal, a line' stamped tai64nlocal
start 'multilog t, without input' multilog t s16777215 ./log
# The program to run does not exist, because counting ends with an exec.
start 'envdir, up to the exec' envdir env nothing
# Without root, the count ends with the refused change of groups.
start 'setuidgid, up to the exec' setuidgid root nothing

if [ "${2:-}" = new ]; then
    grep ", $other	" "$budget" | cat - seen | sort >new
    cp new "$budget"
    cat seen
    exit
fi
awk -F '\t' -v build="$build" '
    NR == FNR && $1 !~ (", " build "$") { next }
    NR == FNR { budget[$1] = $2; margin[$1] = $3; next }
    !($1 in budget) { printf "%-54s %9s, and no budget\n", $1, $2; bad = 1; next }
    {
        change = $2 - budget[$1]
        # One instruction of tolerance: some budgets are close to 1.
        much = budget[$1] * margin[$1] / 100 + 1
        word = change > much ? "TOO MUCH" : change < -much ? "lower the budget" : "within the budget"
        bad += change > much
        printf "%-54s %9s, budget %9s: %s\n", $1, $2, budget[$1], word
        delete budget[$1]
    }
    END {
        for (name in budget) { printf "%-54s is not counted\n", name; bad = 1 }
        exit bad > 0
    }' "$budget" seen || {
    cat >&2 <<END

A count exceeds its budget in benches/instructions.tsv, whose last column is the
margin in percent. To find the cause, run valgrind --tool=callgrind on a build
with CARGO_PROFILE_RELEASE_STRIP=none. If the cost is justified, write the new
numbers with

    make && tests/instructions.sh target/programs new

and give the reason in the commit.
END
    exit 1
}
