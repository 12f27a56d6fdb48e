# shellcheck shell=sh
# Losses of power under load. A machine with eight disks, which lose unsafe writes, runs
# multilog and svlogd, ours and Debian's, with the same numbered lines. On four of the
# disks, they have a processor. The machine is killed at a random moment and booted again,
# which lists the lines that are there.
#
# CUTS is the number of cuts, one for each disk and kill (default: 200), and SEED
# that of all random numbers (default: the time). Programs, in tests/vm/power: vm-disk on
# the host, vm-load on the machine, and vm-judge, which compares the consoles.
: "${work:?}" "${target:?}" "${vm:?}" "${console=}"

power_disks="ext4 xfs btrfs writeback ext4-cat xfs-cat btrfs-cat writeback-cat"

# make_disk NAME: an empty file system. Sets the bytes of a sector. ext4 and btrfs write
# some blocks in place and expect that 4096 bytes are not torn; xfs expects it of 512.
make_disk() {
    sector=4096
    case $1 in
        xfs*) sector=512 megabytes=300 mkfs=mkfs.xfs ;;
        btrfs*) megabytes=256 mkfs=mkfs.btrfs ;;
        *) megabytes=96 mkfs=mkfs.ext4 ;;
    esac
    truncate -s "${megabytes}M" "$work/$1.image"
    $mkfs -q "$work/$1.image" >"$work/$1.mkfs" 2>&1 || { cat "$work/$1.mkfs" >&2; exit 1; }
}

# The number of old files that a directory keeps.
power_files=8

power_init() {
    printf '#!/bin/sh\ndisks="%s"\n' "$power_disks"
    cat <<'END'
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
modprobe -a virtio_pci virtio_blk xfs btrfs
# Writes back soon, so that a cut also finds parts of files that were not fsynced.
echo 10 >/proc/sys/vm/dirty_writeback_centisecs
echo 30 >/proc/sys/vm/dirty_expire_centisecs
set --
for disk in $disks; do
    mkdir "/mnt/$disk"
    set -- "$@" "/mnt/$disk"
    options=defaults type=${disk%-cat}
    if [ "$type" = writeback ]; then options=data=writeback type=ext4; fi
    device=$(cd /dev && grep -l "^$disk$" /sys/block/vd*/serial)
    device=${device#/sys/block/}
    mount -t "$type" -o "$options" "/dev/${device%/serial}" "/mnt/$disk" ||
        { dmesg | tail -n 20; poweroff -f; }
done
vm-load "$files" "$@"
umount /mnt/*
poweroff -f
END
}

scene_power() {
    cuts=${CUTS:-200}
    seed=${SEED:-$(date +%s)}
    kills=$(((cuts + 7) / 8))
    echo "seed $seed, $kills kills of a machine with 8 file systems"
    install_packages e2fsprogs xfsprogs btrfs-progs
    CARGO_PROFILE_RELEASE_LTO=off cargo build --quiet --locked --release --package daemontools-vm \
        --target-dir "$vm/built"
    built=$vm/built/release

    new_root "$work/root" virtio_pci virtio_blk ext4 xfs btrfs
    add_programs "$work/root"
    add_file "$work/root" /usr/bin/multilog /usr/bin/svlogd "$built/vm-load"
    mv "$work/root/debian/vm-load" "$work/root/bin"
    # The control is a multilog whose fsync has no effect.
    echo 'int fsync(int descriptor) { return descriptor - descriptor; }' |
        cc -shared -fPIC -x c -o "$work/root/lib/nosync.so" -
    power_init >"$work/root/init"
    chmod +x "$work/root/init"
    pack "$work/root" "$work/initramfs"

    number=0
    for name in $power_disks; do
        make_disk "$name"
        setpriv --pdeathsig KILL "$built/vm-disk" "$work/$name.socket" "$work/$name.image" "$sector" \
            $((seed + number)) "$work/loading" >"$work/$name.cuts" &
        number=$((number + 1))
    done
    for name in $power_disks; do
        until [ -S "$work/$name.socket" ]; do sleep 0.1; done
    done

    # A number below $1, from the seed.
    random() { echo $((0x$(echo "$seed $round" | sha256sum | head -c 8) % $1)); }
    # Until so many files are finished, or the disks have answered no flush for long.
    until_finished() {
        end=$(($(date +%s) + 20))
        until [ "$(grep -c -a '^A' "$console")" -ge "$1" ] || [ "$(date +%s)" -ge "$end" ]; do
            sleep 0.1
        done
    }
    round=0
    consoles=
    while [ "$round" -le "$kills" ]; do
        last=
        [ "$round" -lt "$kills" ] || last="last=yes"
        set --
        for name in $power_disks; do
            set -- "$@" -blockdev "driver=nbd,node-name=$name,server.type=unix,server.path=$work/$name.socket" \
                -device "virtio-blk-pci,drive=$name,serial=$name"
        done
        start_machine "$work/console.$round" "$work/initramfs" \
            "quiet loglevel=2 round=$round seed=$seed files=$power_files $last" -m 512 "$@"
        consoles="$consoles $work/console.$round"
        if [ -n "$last" ]; then
            wait_for_console 300 '^E'
            wait_for_machine 60
        else
            wait_for_console 300 '^C'
            # One of eight cuts comes during the recovery from the cut before. The others
            # come after a number of finished files, however busy this machine is.
            if [ "$round" = 0 ] || [ "$(random 8)" != 0 ]; then
                wait_for_console 300 '^B'
                touch "$work/loading"
                until_finished "$((10 + $(random 80)))"
            fi
            sleep "0.$(printf %03d "$(random 1000)")"
            kill_machine
            rm -f "$work/loading"
        fi
        # shellcheck disable=SC2086 # one word for each console
        "$built/vm-judge" "$power_files" $consoles >"$work/report" || :
        echo "boot $round: $(grep -c -a '^A' "$work/console.$round") finished files," \
            "$(grep -c '^fault' "$work/report") faults so far"
        round=$((round + 1))
    done
    for name in $power_disks; do
        echo "$name: $(sed 's/.*kept: //' "$work/$name.cuts" | sort | uniq -c | tr '\n' ',')" \
            "$(sed 's/.*writes, \([0-9]*\) of \([0-9]*\) sectors.*/\1 \2/' "$work/$name.cuts" |
                awk '{ lost += $2 - $1 } END { print lost }') sectors lost"
    done
    # shellcheck disable=SC2086 # one word for each console
    "$built/vm-judge" "$power_files" $consoles
}
