# shellcheck shell=sh
# Losses of power under load. A machine with four disks, which lose unsafe writes, runs
# multilog and svlogd, ours and Debian's, with the same numbered lines. It is killed at a
# random moment and booted again, which lists the lines that are there.
#
# CUTS is the number of cuts, one for each file system and kill (default: 200), and SEED
# that of all random numbers (default: the time). Programs, in tests/vm/power: vm-disk on
# the host, vm-load on the machine, and vm-judge, which compares the consoles.
: "${work:?}" "${target:?}" "${vm:?}" "${console=}"

# Name of a disk, megabytes, bytes of a sector, and mkfs. ext4 and btrfs write some
# blocks in place and expect that 4096 bytes are not torn; xfs expects it of 512.
power_disks() {
    cat <<'END'
ext4 96 4096 mkfs.ext4 -q
xfs 300 512 mkfs.xfs -q
btrfs 256 4096 mkfs.btrfs -q
writeback 96 4096 mkfs.ext4 -q
END
}

# The number of old files that a directory keeps.
power_files=8

power_init() {
    cat <<'END'
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
modprobe -a virtio_pci virtio_blk xfs btrfs
# Writes back soon, so that a cut also finds parts of files that were not fsynced.
echo 10 >/proc/sys/vm/dirty_writeback_centisecs
echo 30 >/proc/sys/vm/dirty_expire_centisecs
mkdir /mnt/ext4 /mnt/xfs /mnt/btrfs /mnt/writeback
mount -t ext4 /dev/vda /mnt/ext4 &&
    mount -t xfs /dev/vdb /mnt/xfs &&
    mount -t btrfs /dev/vdc /mnt/btrfs &&
    mount -t ext4 -o data=writeback /dev/vdd /mnt/writeback || { dmesg | tail -n 20; poweroff -f; }
vm-load "$files" /mnt/ext4 /mnt/xfs /mnt/btrfs /mnt/writeback
umount /mnt/*
poweroff -f
END
}

scene_power() {
    cuts=${CUTS:-200}
    seed=${SEED:-$(date +%s)}
    kills=$(((cuts + 3) / 4))
    echo "seed $seed, $kills kills of a machine with 4 file systems"
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

    power_disks >"$work/disks"
    number=0
    while read -r name megabytes sector mkfs; do
        truncate -s "${megabytes}M" "$work/$name.image"
        $mkfs "$work/$name.image" >"$work/$name.mkfs" 2>&1 || { cat "$work/$name.mkfs" >&2; exit 1; }
        setpriv --pdeathsig KILL "$built/vm-disk" "$work/$name.socket" "$work/$name.image" "$sector" \
            $((seed + number)) "$work/loading" >"$work/$name.cuts" &
        number=$((number + 1))
    done <"$work/disks"
    for name in ext4 xfs btrfs writeback; do
        until [ -S "$work/$name.socket" ]; do sleep 0.1; done
    done

    # A number below $1, from the seed.
    random() { echo $((0x$(echo "$seed $round" | sha256sum | head -c 8) % $1)); }
    # Until so many files are finished, or the disks have answered no flush for long.
    until_finished() {
        end=$(($(date +%s) + 15))
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
        for name in ext4 xfs btrfs writeback; do
            set -- "$@" -blockdev "driver=nbd,node-name=$name,server.type=unix,server.path=$work/$name.socket" \
                -device "virtio-blk-pci,drive=$name"
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
                until_finished "$((10 + $(random 100)))"
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
    for name in ext4 xfs btrfs writeback; do
        echo "$name: $(sed 's/.*kept: //' "$work/$name.cuts" | sort | uniq -c | tr '\n' ',')" \
            "$(sed 's/.*writes, \([0-9]*\) of \([0-9]*\) sectors.*/\1 \2/' "$work/$name.cuts" |
                awk '{ lost += $2 - $1 } END { print lost }') sectors lost"
    done
    # shellcheck disable=SC2086 # one word for each console
    "$built/vm-judge" "$power_files" $consoles
}
