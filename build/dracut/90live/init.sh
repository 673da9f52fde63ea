#!/usr/bin/bash
# /init of a live system: find its root, put a writable layer in memory over it, hand over to it.
#   root=live:LABEL=NAME   the volume label of the medium that has it
#   root=live:URL          it is fetched over http or https: see netroot.sh, which only netboot's initramfs has
#   live.size=SIZE         limit of the memory for the writable layer and what is fetched, as tmpfs(5) takes it (75%)
#   installer              the installer's layer, live/installer.squashfs of the medium, lies over the root
#   live.break             a shell just before the root file system is entered
# Storage drivers and file systems are built into the kernel, so a medium needs neither udev nor modules.
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

label='' url='' size=75% installer='' break=''
read -r cmdline </proc/cmdline
for word in $cmdline; do
    case $word in
        root=live:LABEL=*) label=${word#root=live:LABEL=} ;;
        root=live:*) url=${word#root=live:} ;;
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

# systemd leaves mounts below /run/initramfs alone, also at shutdown, when they are still in use
live=/run/initramfs/live
mkdir -p $live/medium $live/root $live/rw
step mount -t tmpfs -o "mode=0755,size=$size" live $live/rw
if [[ $url ]]; then
    [[ -e /netroot.sh ]] || shell "this initramfs has no network: $url cannot be fetched, root=live:LABEL= is what it takes"
    . /netroot.sh
    netroot
else
    medium=''
    for ((try = 0; try < 300; try++)); do
        find_medium && break
        sleep 0.1
    done
    [[ $medium ]] || shell "no medium labelled '$label' after 30 s"
    step mount -t iso9660 -o ro "$medium" $live/medium
    step mount -t erofs -o ro $live/medium/live/root.erofs $live/root
fi
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
