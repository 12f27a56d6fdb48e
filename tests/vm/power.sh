# shellcheck shell=sh
: "${work:?}"
scene_power() {
    new_root "$work/root" virtio_pci virtio_blk ext4 xfs btrfs
    add_programs "$work/root"
    add_file "$work/root" /usr/bin/multilog /usr/bin/svlogd
    cat >"$work/root/init" <<'END'
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
modprobe -a virtio_pci virtio_blk xfs btrfs
cat /proc/filesystems
cat /proc/uptime
uname -a
echo x | /debian/multilog t ./tmp/l; ls /tmp/l
echo x | /ours/multilog t ./tmp/l; ls /tmp/l
echo ready
poweroff -f
END
    chmod +x "$work/root/init"
    pack "$work/root" "$work/initramfs"
    start_machine "$work/console" "$work/initramfs" quiet -m 512
    wait_for_console 60 '^ready'
    wait_for_machine 60
    cat "$work/console"
}
