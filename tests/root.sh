#!/bin/sh
# A Debian with Rust for the checks of other C libraries and architectures, in
# target/debian. It replaces rustup, whose servers a builder may not reach.
#
#   tests/root.sh install PACKAGE...    makes the root, and installs the packages
#   tests/root.sh run COMMAND...        runs a command there, as root
#
# A command sees this tree read-only as /tree, /tree/target writable, and the
# crates of Cargo.lock in /vendor, because the root has no network for Cargo. Mounts
# and processes end with the command.
set -eu
unset CDPATH
cd "$(dirname "$0")/.."

release=trixie
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
target=$(mkdir -p "${CARGO_TARGET_DIR:-target}" && cd "${CARGO_TARGET_DIR:-target}" && pwd)
root=$target/debian-$release

inside() {
    unshare --mount --pid --fork --kill-child sh -euc '
        root=$1; target=$2; shift 2
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount --bind -o ro . "$root/tree"
        mount --bind "$target" "$root/tree/target"
        exec chroot "$root" env -i HOME=/root LC_ALL=C.UTF-8 TZ= CI="${CI:-}" \
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
            DEBIAN_FRONTEND=noninteractive "$@"
    ' inside "$root" "$target" "$@"
}

make_root() {
    [ "$(id -u)" = 0 ] || { echo "$0: only root can make a root" >&2; exit 1; }
    command -v debootstrap >/dev/null || { echo "$0: debootstrap is not installed" >&2; exit 1; }
    rm -rf "$root.new"
    unshare --mount debootstrap --variant=minbase --include=ca-certificates "$release" "$root.new" "$mirror" \
        >"$target/debootstrap.log" || { tail "$target/debootstrap.log" >&2; exit 1; }
    mkdir "$root.new/tree"
    echo force-unsafe-io >"$root.new/etc/dpkg/dpkg.cfg.d/checks"
    mkdir -p "$root.new/root/.cargo"
    cat >"$root.new/root/.cargo/config.toml" <<END_OF_FILE
[source.crates-io]
replace-with = "vendored"
[source.vendored]
directory = "/vendor"
[net]
offline = true
END_OF_FILE
    mv "$root.new" "$root"
}

# Copies the crates of Cargo.lock into the root. With the package rust-src, also
# the crates with which Cargo can build std.
vendor() {
    library=$root/usr/lib/rustlib/src/rust/library/Cargo.toml
    set --
    [ ! -e "$library" ] || set -- --sync "$library"
    # std uses features that only RUSTC_BOOTSTRAP enables in a stable Cargo.
    RUSTC_BOOTSTRAP=1 cargo vendor --quiet --locked --versioned-dirs "$@" "$root/vendor" >/dev/null
}

case ${1:-} in
    install)
        shift
        [ -d "$root" ] || make_root
        cp /etc/resolv.conf /etc/hosts "$root/etc"
        missing=$(for package; do
            [ -e "$root/var/lib/dpkg/info/$package.list" ] || echo "$package"
        done)
        if [ -n "$missing" ]; then
            inside apt-get update -qq
            # shellcheck disable=SC2086 # one word for each package
            inside apt-get install -y -qq --no-install-recommends $missing \
                >"$target/apt-get.log" 2>&1 || { tail "$target/apt-get.log" >&2; exit 1; }
        fi
        vendor
        ;;
    run)
        shift
        inside "$@"
        ;;
    *)
        sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
        exit 100
        ;;
esac
