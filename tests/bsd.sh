#!/bin/sh
# make check-bsd: the programs pass Cargo's check for BSD and macOS, with Debian's
# compiler and a std that Cargo checks as well. Nothing is linked, and nothing runs.
#
# TARGETS lists Rust's targets. Default: all four.
set -eu
unset CDPATH
cd "$(dirname "$0")/.."

all="x86_64-unknown-freebsd x86_64-unknown-openbsd x86_64-unknown-netbsd x86_64-apple-darwin"
targets=${TARGETS-$all}

# Outside of the root: makes it, and continues inside.
if [ "${1:-}" != inside ]; then
    tests/root.sh install rustc cargo rust-src gcc libc6-dev
    exec tests/root.sh run env TARGETS="$targets" sh /tree/tests/bsd.sh inside
fi

export CARGO_TARGET_DIR=/tree/target/bsd CARGO_TERM_QUIET=true RUSTC_BOOTSTRAP=1
set --
for target in $targets; do
    set -- "$@" --target "$target"
done
printf '\n==> cargo check for %s\n' "$targets"
# The packages without a test or a benchmark in them.
cargo check --locked --workspace --exclude daemontools-testkit --exclude daemontools-benches \
    --exclude daemontools-vm --lib --bins -Zbuild-std=std,panic_abort "$@"
