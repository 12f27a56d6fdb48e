#!/bin/sh
# Runs one scene, named by $scene, for tests/vm.sh. Machines end with this shell.
set -eu
: "${scene:?}" "${target:?}" "${work:?}"

say() { printf '==> %s\n' "$*"; }
fail() { printf '%s: %s\n' "$scene" "$*" >&2; exit 1; }

vm=$target/vm
# shellcheck source=tests/vm/machine.sh
. tests/vm/machine.sh
trap end_machine EXIT
trap 'exit 130' INT TERM
# shellcheck disable=SC1090 # the file that defines the scene
. "$(grep -l "^scene_$scene() " tests/vm/*.sh)"
"scene_$scene"
