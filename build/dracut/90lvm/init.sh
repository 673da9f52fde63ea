#!/usr/bin/bash
# /init of a system whose root is a logical volume: activate the volume, mount it, hand over to it.
#   root=UUID=… or a device    rd.lvm.lv=GROUP/VOLUME    rootfstype=, rootflags=, ro, rw: as the kernel takes them
#   rd.break                   a shell just before the root file system is entered
# Storage drivers and file systems are built into the kernel, so neither udev nor modules are needed here.
export PATH=/usr/bin:/usr/sbin

shell() {
    echo "initramfs: ${1:-rd.break was asked for}; leave the shell to try on" >/dev/console
    bash -i </dev/console >/dev/console 2>&1
}

mount -t devtmpfs -o mode=0755,nosuid devtmpfs /dev
mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs /run
mkdir -p /run/lock/lvm /run/lvm /run/udev/rules.d
exec </dev/console >/dev/console 2>&1

volume='' root='' mode=ro flags='' type=auto break='' init=/sbin/init
read -r cmdline </proc/cmdline
for word in $cmdline; do
    case $word in
        rd.lvm.lv=*) volume=${word#rd.lvm.lv=} ;;
        root=*) root=${word#root=} ;;
        rootflags=*) flags=,${word#rootflags=} ;;
        rootfstype=*) type=${word#rootfstype=} ;;
        ro | rw) mode=$word ;;
        init=*) init=${word#init=} ;;
        rd.break) break=yes ;;
    esac
done

# Disks may still be on their way. Only this volume: the others are left to the system's own udev.
output='rd.lvm.lv= is missing' device=''
for ((try = 0; try < 150; try++)); do
    if output=$(lvm lvchange --sysinit --quiet --activate y "$volume" 2>&1); then
        device=$(findfs "$root" 2>/dev/null) && break
        output="there is no $root"
    fi
    sleep 0.2
done
[[ $device ]] || shell "no root on the logical volume '$volume' after 30 s: $output"

# To udev a mapped device that it has not seen coming is none of its business, unless it is told.
for file in /sys/class/block/dm-*/dm/name; do
    read -r name <"$file"
    echo "ACTION==\"add\", SUBSYSTEM==\"block\", ATTR{dm/name}==\"$name\", ENV{DM_UDEV_PRIMARY_SOURCE_FLAG}=\"1\"" \
        >>/run/udev/rules.d/09-root-volume.rules
done
until mount -t "$type" -o "$mode$flags" "$device" /sysroot; do
    shell "$device cannot be mounted"
    device=$(findfs "$root")
done
[[ $break ]] && shell
exec switch_root /sysroot "$init" "$@"
