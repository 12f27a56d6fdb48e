#!/bin/sh
# make check: all checks that a change must pass. The tests run the release
# programs as `make install` installs them.
set -eu
unset CDPATH
cd "$(dirname "$0")/.."

say() { printf '\n==> %s\n' "$*"; }
fail() { printf 'make check: %s\n' "$*" >&2; exit 1; }

# Installs the missing packages: the reference, its peers, and the tools of the
# checks. None of them starts a service, except podman of CI its socket on a machine
# with systemd. daemontools-run and runit-run would, but are only recommended packages.
packages() {
    missing=
    for package; do
        dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
    done
    if [ -z "$missing" ]; then
        return
    elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "apt-get install$missing"
        apt-get update -qq
        # shellcheck disable=SC2086 # one word for each package
        DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends $missing >/dev/null
    else
        cat <<END

Not installed:$missing
Tests that need these packages will be skipped with a message. To install them
on Debian or Ubuntu, as root: apt-get install --no-install-recommends$missing
END
    fi
}

# The reference and its peers, then the tools of tests, counts and fuzzing.
wanted="daemontools runit s6 snooze libnss-extrausers strace jq tzdata procps mandoc cmark-gfm zsh fish valgrind g++"
wanted="$wanted bzip2 xz-utils zstd"
if [ "${CI:-}" = true ]; then
    wanted="$wanted shellcheck ansible bmake debootstrap dpkg-dev lintian podman runc"
    wanted="$wanted python3-prometheus-client python3-yaml systemd"
fi
# shellcheck disable=SC2086 # one word for each package
packages $wanted
if dpkg --verify daemontools 2>/dev/null | grep ' /usr/bin/'; then
    fail "no reference: programs in /usr/bin differ from Debian's package daemontools"
fi
tests/services.sh target/services || say "nginx, redis-server and node_exporter could not be fetched"

say "cargo fmt"
cargo fmt --all -- --check
cargo fmt --manifest-path fuzz/Cargo.toml -- --check

say "fuzz/Cargo.lock is current"
cargo fetch --quiet --locked --manifest-path fuzz/Cargo.toml

say "cargo clippy"
cargo clippy --locked --workspace --all-targets -- -D warnings
# As other projects build it: without the feature exhaustive.
cargo clippy --locked --package daemontools --lib -- -D warnings

say "cargo doc"
RUSTDOCFLAGS="-D warnings" \
    cargo doc --locked --workspace --no-deps --document-private-items

if command -v shellcheck >/dev/null; then
    say "shellcheck"
    find .ci demo fuzz/run src tests '(' -name run -o -name '*.sh' ')' \
        -exec shellcheck --severity=warning {} +
    shellcheck --severity=warning tests/vm/*.init packaging/boot/power.run \
        packaging/boot/svscanboot-stop packaging/boot/svscanboot.openrc \
        packaging/boot/svscanboot.sysvinit packaging/check \
        packaging/architecture packaging/dist* packaging/musl packaging/programs \
        packaging/source-date packaging/tarball packaging/debian/base packaging/debian/build \
        packaging/debian/test* packaging/check-install packaging/licences packaging/html/build \
        packaging/set-version packaging/test-services packaging/rpm/build packaging/rpm/check \
        packaging/rpm/test packaging/arch/* packaging/alpine/APKBUILD packaging/void/template
else
    say "skipped, shellcheck is not installed: the check of the shell scripts"
fi

say "make install"
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
trap 'exit 130' INT TERM
# The tests of setuidgid and envuidgid enter this directory as other users.
chmod 755 "$root"
both='daemontools runit'
make --silent all
make --silent install DESTDIR="$root" PREFIX=/usr FAMILY="$both"
make --silent uninstall DESTDIR="$root" PREFIX=/usr FAMILY="$both"
left=$(find "$root" ! -type d)
[ -z "$left" ] || fail "make uninstall leaves $left"
make --silent install DESTDIR="$root" PREFIX=/usr FAMILY="$both"
for program in $(dpkg -L daemontools runit 2>/dev/null | sed -n 's|^/usr/s\{0,1\}bin/||p'); do
    case $program in
        # Parts of Debian's runit init.
        cpsv | mk-runscript | utmpset) ;;
        *) [ -x "$root/usr/bin/$program" ] || fail "make install does not install $program" ;;
    esac
done
# One family alone; then the other one installed beside it and removed.
files() { (cd "$root/alone" && find . ! -type d | sort); }
for family in $both; do
    make --silent install DESTDIR="$root/alone" PREFIX=/usr FAMILY="$family"
    [ "$family" != daemontools ] || files >"$root/alone.files"
done
make --silent uninstall DESTDIR="$root/alone" PREFIX=/usr FAMILY=runit
files | diff "$root/alone.files" - || fail "make uninstall FAMILY=runit changes files of daemontools"
rm -r "$root/alone"
ls "$root/usr/bin"
packaging/check-install

say "LICENSE-THIRD-PARTY lists the linked crates"
packaging/licences check

say "make count"
tests/instructions.sh "$root/usr/bin"

say "cargo test"
cargo test --locked --workspace --exclude daemontools-rs
# A shell's background job ignores SIGINT, and the programs under test would
# inherit that. The suite waits more than it computes: more threads than cores.
DAEMONTOOLS_OURS=$root/usr/bin RUST_TEST_THREADS=${RUST_TEST_THREADS:-4} \
    env --default-signal cargo test --locked

say "make fuzz"
fuzz/run

if [ "${CI:-}" = true ]; then
    say "make check-package"
    make --silent check-package
else
    say "not checked: the packages (make check-package)"
fi
