# shellcheck shell=sh
# Emulated machines: their kernel, their first files and qemu. For tests/vm.sh and the
# scenes, with $vm, the directory of all scenes, and $work, that of this scene.
#
# A root is a directory that becomes an initramfs:
#
#     new_root "$work/root" virtio_pci virtio_blk xfs   # busybox, and these modules
#     add_programs "$work/root"                         # ours, in /ours
#     add_file "$work/root" /usr/bin/multilog           # Debian's, in /debian
#     cp tests/vm/power.init "$work/root/init"
#     pack "$work/root" "$work/initramfs"
#     start_machine "$work/console" "$work/initramfs" "quiet" -m 512
#     wait_for_console 60 '^ready'
#     kill_machine                                      # or wait_for_machine 60

: "${vm:?}" "${work:?}" "${programs:?}"
system=$vm/system

# install_packages PACKAGE...: installs the packages that are missing here.
install_packages() {
    missing=$(for package; do
        [ -e "/var/lib/dpkg/info/$package.list" ] || [ -e "/var/lib/dpkg/info/$package:amd64.list" ] ||
            printf ' %s' "$package"
    done)
    [ -n "$missing" ] || return 0
    say "apt-get install$missing"
    apt-get update -qq
    # shellcheck disable=SC2086 # one word for each package
    DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends $missing >"$vm/apt-get.log" 2>&1 ||
        { tail "$vm/apt-get.log" >&2; exit 1; }
}

# unpack PACKAGE PATTERN...: unpacks these files of a package into $system, without
# installing it.
unpack() {
    mkdir -p "$vm/packages" "$system"
    package=$1
    shift
    (cd "$vm/packages" && apt-get download -qq -o APT::Sandbox::User=root "$package")
    dpkg-deb --fsys-tarfile "$vm/packages/${package}"_*.deb | tar -xf - -C "$system" --wildcards "$@"
    rm -r "$vm/packages"
}

# unpack_system: the kernel with its modules, and busybox, unless they are there.
unpack_system() {
    [ ! -e "$system/complete" ] || return 0
    say "kernel and busybox"
    rm -rf "$system"
    apt-get update -qq
    image=$(apt-cache depends linux-image-cloud-amd64 |
        sed -n 's/^ *Depends: \(linux-image-[0-9][^:]*\).*/\1/p' | head -n 1)
    [ -n "$image" ] || fail "no package linux-image-cloud-amd64"
    unpack "$image" './boot/vmlinuz-*' './lib/modules/*'
    unpack busybox-static '*bin/busybox'
    [ -e "$system/bin/busybox" ] || { mkdir -p "$system/bin" && mv "$system/usr/bin/busybox" "$system/bin"; }
    depmod --basedir "$system" "${image#linux-image-}"
    mv "$system"/boot/vmlinuz-* "$system/vmlinuz"
    touch "$system/complete"
}

# new_root ROOT [MODULE...]: a directory with the usual mount points, busybox as all of
# its commands, and these modules with those that they need, for modprobe.
new_root() {
    root=$1
    shift
    mkdir -p "$root/bin" "$root/sbin" "$root/dev" "$root/proc" "$root/sys" "$root/tmp" \
        "$root/run" "$root/etc" "$root/usr" "$root/lib64" "$root/mnt"
    ln -s ../bin "$root/usr/bin"
    ln -s ../sbin "$root/usr/sbin"
    cp "$system/bin/busybox" "$root/bin"
    for command in $("$system/bin/busybox" --list); do
        [ -e "$root/bin/$command" ] || ln -s busybox "$root/bin/$command"
    done
    version=$(ls "$system/lib/modules")
    modules=$root/lib/modules/$version
    mkdir -p "$modules"
    cp "$system/lib/modules/$version"/modules.builtin* "$system/lib/modules/$version/modules.order" "$modules"
    for module; do
        # A line of modules.dep: the file of the module, and those that it needs.
        needed=$(sed -n "s|^\(.*/$(echo "$module" | sed 's/[-_]/[-_]/g')\.ko\):|\1|p" \
            "$system/lib/modules/$version/modules.dep")
        [ -n "$needed" ] || grep -q "/$module\.ko$" "$modules/modules.builtin" ||
            fail "the kernel has no module $module"
        for file in $needed; do
            mkdir -p "$modules/${file%/*}"
            cp "$system/lib/modules/$version/$file" "$modules/$file"
        done
    done
    # modprobe also loads the soft dependencies, such as crc32c for btrfs.
    depmod --basedir "$root" "$version"
}

# add_programs ROOT: the programs under test, in /ours.
add_programs() {
    mkdir -p "$1/ours"
    for program in "$programs"/*; do
        [ "$(head -c 4 "$program" | tail -c 3)" != ELF ] || add_libraries "$1" "$program"
        cp "$program" "$1/ours"
    done
}

# add_file ROOT FILE...: programs of this machine, in /debian, with their libraries.
add_file() {
    root=$1
    shift
    for file; do
        mkdir -p "$root/debian"
        cp -L "$file" "$root/debian"
        add_libraries "$root" "$file"
    done
}

# add_libraries ROOT PROGRAM: the libraries and the loader of a program, if it has some.
add_libraries() {
    for library in $(ldd "$2" 2>/dev/null | sed -n 's/.*=> *\(\/[^ ]*\).*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p'); do
        case $library in
            */ld-linux*) to=$1/lib64/${library##*/} ;;
            *) to=$1/lib/${library##*/} ;;
        esac
        [ -e "$to" ] || { mkdir -p "${to%/*}" && cp -L "$library" "$to"; }
    done
}

# pack ROOT FILE: makes the initramfs. Without compression, which takes longer in qemu.
pack() {
    (cd "$1" && find . | cpio --quiet -o -H newc) >"$2"
}

machine=
console=

# start_machine CONSOLE INITRAMFS APPEND [QEMU-OPTION...]: boots the kernel in the
# background, as process $machine. INITRAMFS may be empty. Its serial port writes to the file
# CONSOLE. The machine ends if this shell does, and if it panics. On a busy host, the
# kernel's check of the timer fails now and then.
start_machine() {
    console=$1
    initramfs=$2
    append=$3
    shift 3
    [ -z "$initramfs" ] || set -- -initrd "$initramfs" "$@"
    : >"$console"
    setpriv --pdeathsig KILL qemu-system-x86_64 -accel tcg -no-reboot -nic none \
        -display none -monitor none -serial "file:$console" -kernel "$system/vmlinuz" \
        -append "console=ttyS0 panic=-1 no_timer_check $append" "$@" </dev/null >"$console.qemu" 2>&1 &
    machine=$!
}

# is_running: whether the machine runs.
is_running() {
    [ -n "$machine" ] && kill -0 "$machine" 2>/dev/null
}

# show_console: the end of the console, to explain a failure.
show_console() {
    tail -n 30 "$console.qemu" "$console" >&2 || :
}

# wait_for_console SECONDS PATTERN [COUNT]: until the console has COUNT (default: 1)
# lines with this basic regular expression. Fails after this time, and if the machine ends.
wait_for_console() {
    end=$(($(date +%s) + $1))
    until [ "$(grep -c -a -e "$2" "$console")" -ge "${3:-1}" ]; do
        is_running || [ "$(grep -c -a -e "$2" "$console")" -ge "${3:-1}" ] ||
            { show_console; fail "the machine ended without: $2"; }
        [ "$(date +%s)" -lt "$end" ] || { show_console; fail "after $1 seconds not on the console: $2"; }
        sleep 0.1
    done
}

# wait_for_machine SECONDS: until the machine has gone off by itself.
wait_for_machine() {
    end=$(($(date +%s) + $1))
    while is_running; do
        [ "$(date +%s)" -lt "$end" ] || { show_console; fail "the machine still runs after $1 seconds"; }
        sleep 0.1
    done
    wait "$machine" || { show_console; fail "qemu failed"; }
    machine=
}

# kill_machine: a loss of power.
kill_machine() {
    is_running || { show_console; fail "the machine ended by itself"; }
    kill -KILL "$machine"
    wait "$machine" 2>/dev/null || :
    machine=
}

# end_machine: ends the machine, if it runs. For traps.
end_machine() {
    [ -z "$machine" ] || { kill -KILL "$machine" && wait "$machine"; } 2>/dev/null || :
    machine=
}
