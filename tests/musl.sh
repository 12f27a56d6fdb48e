#!/bin/sh
# make check-musl: builds the programs for the musl target of this machine, without
# rustup, and runs the compliance, random and fault tests on them, and
# a test without memory.
set -eu
unset CDPATH
cd "$(dirname "$0")/.."

say() { printf '\n==> %s\n' "$*"; }

say "the programs for musl"
packaging/musl
target=${CARGO_TARGET_DIR:-target}
triple=$(rustc -vV | sed -n 's/^host: \(.*\)-gnu$/\1-musl/p')
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
trap 'exit 130' INT TERM
# The tests of setuidgid and envuidgid enter this directory as other users.
chmod 755 "$root"
CARGO_TARGET_DIR="$target/musl/$triple" \
    make --silent install DESTDIR="$root" PREFIX=/usr FAMILY='daemontools runit'
for program in "$root/usr/bin"/*; do
    size=$(stat -c %s "$program")
    case $program in
    # The engine of regular expressions has about 1.3 MB.
    */svlog) limit=2048 ;;
    *) limit=450 ;;
    esac
    if [ "$size" -gt $((1024 * limit)) ]; then
        echo "make check-musl: $program has $size bytes, above $limit KiB" >&2
        exit 1
    fi
done
du -sb "$root/usr/bin"

tests/services.sh target/services || say "redis-server and node_exporter could not be fetched"

say "cargo test on the programs for musl"
# A shell's background job ignores SIGINT, and the programs under test would
# inherit that. The suite waits more than it computes: more threads than cores.
DAEMONTOOLS_OURS=$root/usr/bin RUST_TEST_THREADS=${RUST_TEST_THREADS:-4} env --default-signal \
    cargo test --locked --test suite -- --skip reference compliance:: random:: faults:: \
    new_links_start_without_system_memory

say "make dist gives the same bytes twice, for an empty root"
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
tarball=$target/daemontools-rs-$version-linux-${triple%%-*}.tar.gz
TRIPLES=$triple packaging/dist
mv "$tarball" "$tarball.first"
rm -r "$target/musl/$triple"
TRIPLES=$triple packaging/dist
cmp "$tarball" "$tarball.first"
packaging/dist-test "$tarball"
