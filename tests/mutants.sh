#!/bin/sh
# make mutants: changes the product code of a crate in one place after another, with
# cargo-mutants, and lists the changes that no test detects.
#
#     tests/mutants.sh CRATE [OPTION...]      such as: tests/mutants.sh core
#     make mutants CRATES='core cli'
#     make mutants CRATES=logging MUTANTS='--file crates/logging/src/archive.rs'
#
# Mutants first face the unit tests of the crate. The survivors face those tests of the
# suite, on our programs alone, that `programs` below lists for the file. OPTIONs select
# mutants: --file GLOB, --re REGEX, --shard 0/4; see cargo mutants --help.
# .cargo/mutants.toml leaves out equivalent mutants, with reasons.
#
# Mutants are made in a copy of the tree in target/mutants. A second run skips the
# mutants that were caught before, so that an interrupted run can continue, and tests
# for survivors need no complete run. FRESH=1 begins again. SUITE=0 skips the compliance
# tests, UNIT=0 those of the crate. TIMEOUT limits the unit tests of a mutant in seconds; a
# busy machine needs more. Default: 60. The searches of supervision take five seconds, and
# less with DAEMONTOOLS_CASES=0.
#
# The compliance tests run in a process namespace, which ends all their processes, and
# end at the first failure. Their limit is five times their time without a mutant.
# SAMPLE=40 runs them for 40 survivors at random; SEED selects others. Default: 1.
set -eu
unset CDPATH
cd "$(dirname "$0")/.."

say() { printf '\n==> %s\n' "$*"; }
fail() { printf 'make mutants: %s\n' "$*" >&2; exit 1; }

# The filters of tests/main.rs whose tests run the code of a source file.
programs() {
    case $1 in
        crates/chain/src/limits.rs) echo compliance::softlimit compliance::chpst ;;
        crates/chain/src/lock.rs) echo compliance::setlock compliance::chpst ;;
        crates/chain/src/envdir.rs) echo compliance::envdir compliance::chpst ;;
        crates/chain/src/environment.rs) echo compliance::env compliance::chpst ;;
        crates/chain/src/identity.rs | crates/chain/src/name_service*)
            echo compliance::setuidgid compliance::envuidgid compliance::accounts ;;
        crates/chain/*) echo compliance::exec compliance::setlock compliance::pgrphack ;;
        crates/cli/src/display.rs) echo compliance::svps:: compliance::svps_watch ;;
        crates/cli/src/json.rs) echo compliance::svps:: compliance::svlog:: ;;
        crates/cli/src/title.rs) echo compliance::readproctitle ;;
        crates/cli/src/diagnostics.rs) echo compliance::runsv:: compliance::runsvdir:: ;;
        crates/cli/*) echo compliance::svstat compliance::softlimit compliance::svscan:: ;;
        crates/core/src/label.rs) echo compliance::tai64n compliance::svstat compliance::svlog ;;
        crates/core/src/runsv.rs) echo compliance::runsv compliance::sv:: ;;
        crates/core/*) echo compliance::supervise:: compliance::supervise_extended compliance::svstat compliance::svc ;;
        crates/logging/src/tai64/*) echo compliance::tai64n compliance::filters ;;
        crates/logging/src/processor.rs) echo compliance::multilog::processor compliance::svlogd ;;
        crates/logging/src/multilog/print.rs) echo compliance::multilog::print ;;
        crates/logging/src/multilog/*) echo compliance::multilog ;;
        crates/logging/src/svlogd/*) echo compliance::svlogd ;;
        crates/logging/*) echo compliance::multilog compliance::svlogd ;;
        crates/daemontools/src/listing.rs) echo compliance::svps compliance::svstat compliance::svperms ;;
        crates/daemontools/src/supervise_dir.rs) echo compliance::supervise_dir ;;
        crates/daemontools/* | crates/supervision/src/change_watcher.rs)
            echo compliance::sv compliance::svwait compliance::svps compliance::svstat compliance::svc ;;
        crates/supervision/src/extended*) echo compliance::supervise_ compliance::sdnotify ;;
        crates/supervision/src/permissions.rs) echo compliance::svperms ;;
        crates/supervision/src/supervise/runsv.rs | crates/supervision/src/pipe.rs) echo compliance::runsv:: compliance::sv:: faults::records ;;
        crates/supervision/src/runsvdir*) echo compliance::runsvdir compliance::runit_differences faults::waits ;;
        crates/supervision/src/stop_service.rs | crates/supervision/src/shutdown.rs)
            echo compliance::svscan_extended compliance::runsvdir faults::svscan_stop ;;
        crates/supervision/src/svscan* | crates/supervision/src/table.rs | crates/supervision/src/sc* | crates/supervision/src/spawn.rs)
            echo compliance::svscan compliance::runsvdir compliance::differences faults::svscan faults::waits ;;
        crates/supervision/*)
            echo compliance::supervise compliance::runsv:: compliance::runit_differences compliance::stopped \
                compliance::sdnotify faults::records faults::waits memory::steady ;;
        *) echo compliance:: ;;
    esac
}

command -v cargo-mutants >/dev/null || fail "cargo-mutants is not installed: cargo install --locked cargo-mutants"
crate=${1:-}
[ -d "crates/$crate/src" ] || fail "usage: tests/mutants.sh CRATE [OPTION...]"
shift

work=$(mkdir -p "${CARGO_TARGET_DIR:-target}/mutants" && readlink -f "${CARGO_TARGET_DIR:-target}/mutants")
out=$work/$crate
tree=$work/tree
[ -z "${FRESH:-}" ] || rm -rf "$out"
mkdir -p "$out"
# Debug information costs half of the time of a build.
export CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_TEST_DEBUG=0 CARGO_TARGET_DIR="$work/build"
# The compliance tests wait more than they compute.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-16}"

# A file of the copy is newer than every build: an interrupted run may have built a mutant.
rm -rf "$tree"
mkdir "$tree"
git ls-files -z --cached --others --exclude-standard |
    tar -c --null --ignore-failed-read --files-from=- | tar -x -m -C "$tree"
cd "$tree"

# mutants KIND OPTION...: runs cargo mutants with the output below $out/KIND, and adds
# the results to those of former runs.
mutants() {
    kind=$1
    shift
    mkdir -p "$out/$kind"
    keep "$kind"
    # Exit code 2 and 3: mutants were missed, or timed out.
    nice cargo mutants --in-place --no-times --colors never --iterate --output "$out/$kind" \
        --package "daemontools-$crate" "$@" || [ $? -le 3 ]
    keep "$kind"
}

keep() {
    for result in caught unviable timeout; do
        touch "$out/$1/$result"
        new=$out/$1/mutants.out/$result.txt
        [ ! -e "$new" ] || sort -u -o "$out/$1/$result" "$new" "$out/$1/$result"
    done
}

# suite FILE SECONDS: runs the compliance tests of a source file on the programs of the
# copy, with the output in $out/log. The suite itself is built once, without a mutant.
# A shell is process 1 of the namespace, and reaps orphans. The suite does not run in its
# background, which would ignore SIGINT. The loop ends the suite at a failure.
suite() {
    rm -rf "$work/tmp"
    mkdir -m 755 "$work/tmp"
    # shellcheck disable=SC2046,SC2016 # one word for each filter; variables of the inner shells
    TMPDIR="$work/tmp" DAEMONTOOLS_OURS="$CARGO_TARGET_DIR/debug" unshare $namespace \
        --pid --fork --kill-child --mount-proc sh -c '
            while sleep 0.2; do
                ! grep -q "^test .* FAILED$" "$1/log" || kill "$(cat "$1/pid")"
            done 2>/dev/null &
            sh -c "echo \$\$ >\"\$0/pid\"; exec \"\$@\"" "$@"
            exit $?' \
        sh "$out" timeout -k 10 "$2" "$work/suite" $(programs "$1") \
        --skip reference --skip theirs </dev/null >"$out/log" 2>&1
}

# build FILE: builds the programs that the compliance tests of a source file are named
# after; all programs, if a test is of several.
build() {
    bins=
    for program in $(programs "$1" | sed 's/compliance:://g; s/::[^ ]*//g; s/_[a-z]*//g'); do
        [ -e "src/bin/$program" ] || [ -e "src/bin/$program.rs" ] || { bins=--bins && break; }
        bins="$bins --bin $program"
    done
    # shellcheck disable=SC2086 # one word for each option
    cargo build --quiet --package daemontools-rs $bins
}

# with_suite FILE MUTANT: makes a mutant, and prints the result of the compliance tests.
with_suite() {
    # A filter would select fields of structs as well.
    cargo mutants --list --diff --colors never --package "daemontools-$crate" --file "$1" |
        awk -v wanted="$2" '/^[^-+@ ]*:[0-9]+:[0-9]+: / { inside = $0 == wanted; next } inside' >"$out/diff"
    cp "$1" "$out/source"
    patch --quiet "$1" "$out/diff" || fail "no patch: $2"
    if ! build "$1" >"$out/log" 2>&1; then
        result=unviable
    elif suite "$1" "$limit"; then
        result=missed
    else
        [ $? = 124 ] && result=timeout || result=caught
    fi
    cp "$out/source" "$1"
    echo "$result"
}

all() { cargo mutants --list --colors never --package "daemontools-$crate" "$@" | sort; }

say "$crate: the tests of the crate"
all "$@" >"$out/all"
mkdir -p "$out/unit"
touch "$out/unit/caught" "$out/unit/unviable" "$out/unit/timeout"
[ "${UNIT:-1}" = 0 ] || mutants unit --timeout "${TIMEOUT:-60}" --cargo-arg=--lib "$@"
cat "$out/unit/caught" "$out/unit/unviable" "$out/unit/timeout" | sort -u | comm -23 "$out/all" - >"$out/missed"

touch "$out/suite-caught" "$out/suite-timeout" "$out/suite-unviable"
if [ "${SUITE:-1}" != 0 ]; then
    say "$crate: the compliance tests, for the survivors"
    # Without root, the namespace of processes needs one of users.
    namespace=
    [ "$(id -u)" = 0 ] || namespace="--user --map-root-user"
    cargo build --quiet --package daemontools-rs --bins
    cp "$(cargo test --package daemontools-rs --test suite --no-run 2>&1 |
        sed -n 's/.*Executable .*(\(.*\)).*/\1/p')" "$work/suite"
    sort -u "$out/suite-caught" "$out/suite-timeout" "$out/suite-unviable" | comm -23 "$out/missed" - >"$out/survivors"
    if [ -n "${SAMPLE:-}" ]; then
        yes "${SEED:-1}" | shuf -n "$SAMPLE" --random-source=/dev/stdin -o "$out/sample" "$out/survivors"
        sort -o "$out/survivors" "$out/sample"
    fi
    for file in $(cut -d : -f 1 "$out/survivors" | sort -u); do
        # The filters are the name of the measured time.
        baseline="$work/baseline $(programs "$file")"
        if [ ! -e "$baseline" ]; then
            began=$(date +%s)
            suite "$file" 600 || fail "the tests of $file fail without a mutant: see $out/log"
            echo $((($(date +%s) - began + 2) * 5)) >"$baseline"
        fi
        limit=$(cat "$baseline")
        grep "^$file:" "$out/survivors" >"$out/of-file"
        while IFS= read -r mutant <&3; do
            result=$(with_suite "$file" "$mutant")
            echo "$result: $mutant"
            echo "$mutant" >>"$out/suite-$result"
        done 3<"$out/of-file"
        # The next file may need the programs without the last mutant, and build others.
        build "$file"
    done
fi
sort -u "$out/suite-caught" "$out/suite-timeout" "$out/suite-unviable" | comm -23 "$out/missed" - >"$out/left"
mv "$out/left" "$out/missed"

count() { sort -u "$@" | comm -12 - "$out/all" | wc -l; }
say "$crate: $(wc -l <"$out/all") mutants, $(count "$out/unit/unviable" "$out/suite-unviable") unviable,
    $(count "$out/unit/caught") caught by the tests of the crate, $(count "$out/unit/timeout") by their timeout,
    $(count "$out/suite-caught" "$out/suite-timeout") by compliance tests, $(wc -l <"$out/missed") missed:"
cat "$out/missed"
