# shellcheck shell=sh disable=SC2154
# Debian with the packages of make deb, booted and shut down: svscan and runsvdir as
# process 1, and svscanboot under systemd, sysvinit and OpenRC.
#
# /check in the machine waits for the services, kills one, and shuts down. Afterwards
# the disk shows what the loggers have written. The root of each init system is in
# target/vm/roots, and remains for the next run.

# Numbered lines until SIGTERM; then half a second, and the number of lines.
BOOT_WRITER='#!/bin/sh
trap "stop=1" TERM
n=0
while [ -z "${stop:-}" ]; do n=$((n + 1)); echo "line $n"; sleep 0.1; done
sleep 0.5
read -r now _ </proc/uptime
echo "end $n"
echo "at $now"'

# The same, with more lines than a pipe holds at the end.
BOOT_FLOOD='#!/bin/sh
trap "stop=1" TERM
n=0
while [ -z "${stop:-}" ]; do n=$((n + 1)); echo "line $n"; sleep 0.1; done
m=$((n + 10000))
while [ "$n" -lt "$m" ]; do n=$((n + 1)); echo "line $n"; done
read -r now _ </proc/uptime
echo "end $n"
echo "at $now"'

saw() { printf '%s: %s\n' "${scene#boot_}" "$*"; }

# boot_packages: builds the packages, unless they are newer than their sources.
boot_packages() {
    install_packages debootstrap dpkg-dev e2fsprogs
    for package in "$target"/daemontools-rs_*.deb; do
        [ -e "$package" ] && [ -z "$(find Cargo.lock Cargo.toml Makefile src crates packaging man doc \
            completions README.md CHANGELOG.md COMPATIBILITY.md -newer "$package" -print -quit)" ] ||
            make --silent deb >"$work/make.log" 2>&1 || { tail "$work/make.log" >&2; fail "make deb"; }
    done
}

# boot_root KIND PACKAGE...: makes $vm/roots/KIND, a minimal Debian with these packages.
boot_root() {
    kind=$1
    shift
    boot_packages
    debian=$vm/roots/$kind
    if [ -e "$debian.complete" ] && [ "$(cat "$debian.complete")" = "$*" ]; then return; fi
    base=$(packaging/debian/base)
    rm -rf "$debian" "$debian.complete"
    mkdir -p "$vm/roots"
    cp -a --one-file-system "$base" "$debian"
    # Nothing is started here.
    printf '#!/bin/sh\nexit 101\n' >"$debian/usr/sbin/policy-rc.d"
    chmod 755 "$debian/usr/sbin/policy-rc.d"
    if [ $# -gt 0 ]; then
        in_root apt-get update -qq >"$debian.log" 2>&1
        in_root apt-get install -y -qq --no-install-recommends "$@" >>"$debian.log" 2>&1 ||
            { tail "$debian.log" >&2; fail "the packages $* cannot be installed"; }
    fi
    rm -r "$debian"/usr/share/doc/* "$debian"/usr/share/man/* "$debian"/usr/share/locale/* \
        "$debian/var/cache/apt" "$debian/var/lib/apt/lists" "$debian/complete"
    echo "$*" >"$debian.complete"
}

in_root() { chroot "$debian" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }

# boot_begin KIND: copies that root to the disk of this machine, and installs ours.
boot_begin() {
    rm -rf "$work/disk" "$work/disk.log"
    cp -a "$vm/roots/$1" "$work/disk"
    debian=$work/disk
    cp "$target"/daemontools-rs_*.deb "$target"/daemontools-rs-runit_*.deb "$debian/root"
    in_root sh -c 'apt-get install -y -qq /root/*.deb' >"$work/apt.log" 2>&1 ||
        { tail "$work/apt.log" >&2; fail "the packages cannot be installed"; }
    rm "$debian/root"/*.deb
    echo "/dev/vda / ext4 defaults 0 1" >"$debian/etc/fstab"
    echo machine >"$debian/etc/hostname"
    mkdir -p "$debian/etc/service"
    boot_service writer "$BOOT_WRITER" 'multilog t s16777215'
    boot_service svlogd "$BOOT_WRITER" 'svlogd -t'
    boot_service flood "$BOOT_FLOOD" 'multilog t s16777215'
    boot_file check "#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec </dev/null >/dev/console 2>&1
await() { until \"\$@\" >/dev/null 2>&1; do sleep 0.1; done; }
now() { read -r uptime _ </proc/uptime; echo \"\$uptime\"; }
pid() { svstat /etc/service/writer | sed -n 's/.*: up (pid \\([0-9]*\\)).*/\\1/p'; }
other() { [ -n \"\$(pid)\" ] && [ \"\$(pid)\" != \"\$old\" ]; }
for service in writer svlogd flood; do
    await grep 'line 2\$' /etc/service/\$service/log/main/current
done
old=\$(pid)
echo \"check: all write at \$(now)\"
kill -KILL \"\$old\"
await other
echo \"check: writer is back at \$(now)\"
lines=\$(wc -l </etc/service/writer/log/main/current)
more() { [ \"\$(wc -l </etc/service/writer/log/main/current)\" -gt \"\$((lines + 2))\" ]; }
await more
# The pipe fills up.
svc -p /etc/service/flood/log
echo \"check: processes: \$(grep -l -x -e svscan -e runsvdir /proc/[0-9]*/comm | cut -d / -f 3 | tr '\\n' ' ')\"
echo \"check: stops at \$(now)\"
$2"
}

# boot_file FILE TEXT: an executable file of the disk.
boot_file() {
    mkdir -p "$(dirname "$debian/$1")"
    printf '%s\n' "$2" >"$debian/$1"
    chmod 755 "$debian/$1"
}

# boot_service NAME RUN LOGGER
boot_service() {
    boot_file "etc/sv/$1/run" "$2"
    boot_file "etc/sv/$1/log/run" "#!/bin/sh
exec $3 ./main"
    mkdir "$debian/etc/sv/$1/log/main"
    # An emulated machine may be slow.
    echo 0 >"$debian/etc/sv/$1/timeout-kill"
    echo 0 >"$debian/etc/sv/$1/log/timeout-kill"
    ln -s "/etc/sv/$1" "$debian/etc/service/$1"
}

# boot_example FILE: installs that example as a script of init.
boot_example() {
    install -m 755 "$debian/usr/share/doc/daemontools-rs/examples/$1" "$debian/etc/init.d/svscanboot"
}

# boot_run APPEND: makes the disk, boots, waits until the machine is off, and unpacks the
# logs to $work/sv.
boot_run() {
    rm -rf "$work/root" "$work/sv" "$work/disk.img"
    new_root "$work/root" virtio_pci virtio_blk ext4
    install -m 755 tests/vm/boot.init "$work/root/init"
    pack "$work/root" "$work/initramfs"
    truncate -s 700M "$work/disk.img"
    mkfs.ext4 -q -F -d "$debian" "$work/disk.img" 2>"$work/mkfs.log" ||
        { cat "$work/mkfs.log" >&2; fail "no disk"; }
    rm -rf "$debian"
    start_machine "$work/console" "$work/initramfs" "$1" -m 512 -smp 2 \
        -drive "file=$work/disk.img,format=raw,if=virtio"
    wait_for_console 600 '^check: stops at'
    began=$(date +%s%3N)
    wait_for_machine 600
    took=$(($(date +%s%3N) - began))
    tr -d '\r' <"$work/console" | grep -a '^check: '
    ! grep -a -q 'Kernel panic' "$work/console" || { show_console; fail "the kernel panicked"; }
    state=$(dumpe2fs -h "$work/disk.img" 2>/dev/null | grep -E '^Filesystem (state|features):' | tr '\n' ' ')
    case $state in
        *needs_recovery*) saw "the file system was not unmounted" ;;
        *) saw "the file system was unmounted" ;;
    esac
    # Replays the journal, like the next boot.
    e2fsck -p "$work/disk.img" >"$work/fsck.log" 2>&1 || [ $? = 1 ] || { cat "$work/fsck.log" >&2; fail "fsck"; }
    debugfs -R "rdump /etc/sv $work" "$work/disk.img" >/dev/null 2>&1
    saw "off $took ms after the command"
}

# boot_check: that each log ends with the number of its lines, and is without a gap.
boot_check() {
    bad=
    for service in writer svlogd flood; do
        log=$work/sv/$service/log/main
        # A run that was killed has no last words; the numbers of the next one begin at 1.
        lines=$(cut -d ' ' -f 2- "$log/current" | awk '
            $0 == "line 1" { n = 0; end = 0 }
            /^line / && $2 == n + 1 && !end { n++; next }
            /^end / && $2 == n { end = NR; next }
            /^at / && end == NR - 1 { at = $2; next }
            { print "wrong: " $0; wrong = 1; exit }
            END { if (!wrong) print (at == "" ? "no last words after line " n : n " lines, last words at " at) }')
        mode=$(stat -c %a "$log/current")
        last=$(tail -n 1 "$log/current" | tai64nlocal 2>/dev/null | cut -d ' ' -f 2)
        saw "$service: $lines, read at $last, mode $mode"
        case $lines in *' lines, last words at '*) ;; *) bad="$bad $service" ;; esac
    done
    [ -z "$bad" ] || { show_console; fail "the logs are incomplete:$bad"; }
}

scene_boot_systemd() {
    boot_root systemd systemd-sysv
    boot_begin systemd 'systemctl poweroff'
    boot_file etc/rc.local '#!/bin/sh
/check &'
    in_root systemctl enable svscanboot >>"$work/apt.log" 2>&1
    boot_run ''
    boot_check
}

# The settings of doc/boot.md for svscan -e, and a restart instead of the shutdown.
scene_boot_systemd_e() {
    boot_root systemd systemd-sysv
    boot_begin systemd 'systemctl reboot'
    boot_file etc/rc.local '#!/bin/sh
/check &'
    in_root systemctl enable svscanboot >>"$work/apt.log" 2>&1
    mkdir -p "$debian/etc/systemd/system/svscanboot.service.d"
    sed -n '/^    \[Service\]$/,/^$/s/^    //p' doc/boot.md \
        >"$debian/etc/systemd/system/svscanboot.service.d/override.conf"
    grep -q '^ExecStart=/usr/bin/svscan -e /etc/service$' \
        "$debian/etc/systemd/system/svscanboot.service.d/override.conf" || fail "no settings in doc/boot.md"
    boot_run ''
    boot_check
}

scene_boot_sysvinit() {
    boot_root sysvinit sysvinit-core
    boot_begin sysvinit 'shutdown -h now'
    boot_file etc/rc.local '#!/bin/sh
/check &'
    cat "$debian/usr/share/doc/daemontools-rs/examples/inittab" >>"$debian/etc/inittab"
    boot_example svscanboot.sysvinit
    in_root update-rc.d svscanboot defaults >>"$work/apt.log" 2>&1
    boot_run ''
    boot_check
}

scene_boot_openrc() {
    boot_root openrc sysvinit-core openrc
    boot_begin openrc 'shutdown -h now'
    boot_file etc/rc.local '#!/bin/sh
/check &'
    boot_example svscanboot.openrc
    in_root rc-update add svscanboot >>"$work/apt.log" 2>&1
    boot_run ''
    boot_check
}

scene_boot_busybox() {
    boot_root none
    boot_begin none '/bin/busybox poweroff'
    install -m 755 "$system/bin/busybox" "$debian/bin/busybox"
    ln -s ../bin/busybox "$debian/sbin/init"
    # The lines of doc/boot.md.
    {
        echo '::once:/check'
        sed -n 's/^    \(::.*svscanboot\)/\1/p' doc/boot.md
        echo '::shutdown:/bin/busybox umount -a -r'
    } >"$debian/etc/inittab"
    boot_run rw
    boot_check
}

# boot_process_one COMMAND-LINE: without an init system.
boot_process_one() {
    boot_root none
    boot_begin none 'kill -TERM 1'
    boot_file etc/service/check/run '#!/bin/sh
/check
exec sleep infinity'
    mkdir "$debian/etc/service/power"
    install -m 755 packaging/boot/power.run "$debian/etc/service/power/run"
    echo 0 >"$debian/etc/service/power/timeout-kill"
    boot_run "rw init=$1"
    boot_check
}

scene_boot_svscan() { boot_process_one '/usr/bin/svscan -- /etc/service'; }
scene_boot_svscan_e() { boot_process_one '/usr/bin/svscan -- -e /etc/service'; }
scene_boot_runsvdir() { boot_process_one '/usr/bin/runsvdir -- -P /etc/service'; }
