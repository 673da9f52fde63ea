#!/usr/bin/bash
# /init of the live medium: find it, put a writable layer in memory over its root, hand over to it.
#   root=live:LABEL=NAME   the medium's volume label
#   live.size=SIZE         limit of the writable layer, as tmpfs(5) takes it (default 75% of memory)
#   installer              the installer's layer, live/installer.squashfs of the medium, lies over the root
#   live.break             a shell just before the root file system is entered
# Storage drivers and file systems are built into the kernel, so neither udev nor modules are needed here.
export PATH=/usr/bin:/usr/sbin

shell() {
    echo "live: ${1:-live.break was asked for}; leave the shell to try on" >/dev/console
    bash -i </dev/console >/dev/console 2>&1
}

step() {
    "$@" || shell "failed: $*"
}

mount -t devtmpfs -o mode=0755,nosuid devtmpfs /dev
mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs /run
exec </dev/console >/dev/console 2>&1

label='' size=75% installer='' break=''
read -r cmdline </proc/cmdline
for word in $cmdline; do
    case $word in
        root=live:LABEL=*) label=${word#root=live:LABEL=} ;;
        live.size=*) size=${word#live.size=} ;;
        installer) installer=yes ;;
        live.break) break=yes ;;
    esac
done

# Of a disk with partitions, as a stick with this medium is, findfs(8) looks at those only: the volume begins before the first.
find_medium() {
    local path device labels
    for path in /sys/class/block/*; do
        device=${path##*/}
        device=/dev/${device//!//}
        labels=$(wipefs --noheadings --output LABEL "$device" 2>/dev/null)
        [[ $'\n'$labels$'\n' == *$'\n'"$label"$'\n'* ]] && medium=$device && return
    done
    return 1
}

medium=''
for ((try = 0; try < 300; try++)); do
    find_medium && break
    sleep 0.1
done
[[ $medium ]] || shell "no medium labelled '$label' after 30 s"

# systemd leaves mounts below /run/initramfs alone, also at shutdown, when they are still in use
live=/run/initramfs/live
mkdir -p $live/medium $live/root $live/rw
step mount -t iso9660 -o ro "$medium" $live/medium
step mount -t erofs -o ro $live/medium/live/root.erofs $live/root
step mount -t tmpfs -o "mode=0755,size=$size" live $live/rw
mkdir $live/rw/upper $live/rw/work
lower=$live/root
if [[ $installer ]]; then
    mkdir $live/layer
    step mount -t squashfs -o loop,ro $live/medium/live/installer.squashfs $live/layer
    lower=$live/layer:$live/root
fi
step mount -t overlay -o lowerdir=$lower,upperdir=$live/rw/upper,workdir=$live/rw/work live /sysroot
# An overlay cannot be the upper layer of another one, as container runtimes want: /var is plain memory.
step cp -a $live/root/var $live/rw/var
step mount --bind $live/rw/var /sysroot/var
[[ $break ]] && shell
exec switch_root /sysroot /sbin/init "$@"
