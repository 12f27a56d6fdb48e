#!/bin/sh
# make check-vm: the programs on machines with a Linux of their own, which qemu
# emulates without KVM and without a network. Root only.
#
# SCENES selects scenes. A scene is a function scene_NAME in tests/vm/*.sh, and runs in
# a shell of its own. Default: all, in the order of the files. DAEMONTOOLS_OURS is the
# directory of the programs under test. Default: those of packaging/musl.
#
# Everything is below target/vm: packages/ and system/ (kernel, modules, busybox) remain
# for the next run, and SCENE/ with its consoles until the next run of the scene.
set -eu
unset CDPATH
cd "$(dirname "$0")/.."

say() { printf '\n==> %s\n' "$*"; }
fail() { printf 'make check-vm: %s\n' "$*" >&2; exit 1; }

target=$(mkdir -p "${CARGO_TARGET_DIR:-target}" && readlink -f "${CARGO_TARGET_DIR:-target}")
vm=$target/vm
mkdir -p "$vm"

[ "$(id -u)" = 0 ] || fail "only root can install packages and make machines"
[ "$(uname -m)" = x86_64 ] || fail "only for x86_64"

if [ -z "${DAEMONTOOLS_OURS:-}" ]; then
    say "the programs for musl"
    packaging/musl
    DAEMONTOOLS_OURS=$target/musl/$(uname -m)-unknown-linux-musl/programs
fi
programs=$(readlink -f "$DAEMONTOOLS_OURS")
[ -x "$programs/svscan" ] || fail "no programs in $DAEMONTOOLS_OURS"

work=$vm
# shellcheck source=tests/vm/machine.sh
. tests/vm/machine.sh
# The reference, and the tools of all scenes; a scene installs its own.
install_packages daemontools runit qemu-system-x86 cpio kmod
unpack_system

defined=$(sed -n 's/^scene_\([a-z0-9_]*\)() .*/\1/p' tests/vm/*.sh | tr '\n' ' ')
failed=
for scene in ${SCENES:-$defined}; do
    case " $defined" in *" $scene "*) ;; *) fail "no scene $scene; there are: $defined" ;; esac
    say "$scene"
    work=$vm/$scene
    rm -rf "$work"
    mkdir -p "$work"
    code=0
    scene=$scene work=$work target=$target programs=$programs sh tests/vm/run.sh || code=$?
    [ "$code" = 0 ] || failed="$failed $scene"
done
[ -z "$failed" ] || fail "failed:$failed"
