#!/usr/bin/bash
# /init of a system whose root the kernel alone cannot mount: load modules, open LUKS, activate LVM, mount, hand over.
#   root=UUID=… or a device    rootfstype=, rootflags=, ro, rw: as the kernel takes them
#   rd.driver.pre=NAME[,NAME]  modules to load first, as dracut's; rd.modules_load=, modules_load= as systemd's
#   rd.luks.uuid=UUID          a LUKS container to open, as /dev/mapper/luks-UUID, or by rd.luks.name=UUID=NAME under that name
#   rd.luks.key=UUID=FILE[:DEVICE]   its key, a file here or on DEVICE; rd.luks.options=[UUID=]discard
#   rd.lvm.lv=GROUP/VOLUME     a logical volume to activate
#   rd.break                   a shell just before the root file system is entered
# Storage drivers are built into the kernel, so no udev is needed here. What is a module (dm-crypt, ciphers, Btrfs) the kernel
# asks modprobe for. Other containers and volumes are left to the system's own udev.
export PATH=/usr/bin:/usr/sbin DM_DISABLE_UDEV=1
# Tries to give a passphrase, and fifths of a second to wait for disks.
TRIES=3 PATIENCE=150

shell() {
    echo "initramfs: ${1:-rd.break was asked for}; leave the shell to try on" >/dev/console
    bash -i </dev/console >/dev/console 2>&1
}

mount -t devtmpfs -o mode=0755,nosuid devtmpfs /dev
mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs /run
mkdir -p /run/lock/lvm /run/lvm /run/udev/rules.d
mkdir -m 0700 /run/cryptsetup
exec </dev/console >/dev/console 2>&1

root='' mode=ro flags='' type=auto break='' init=/sbin/init modules='' discard=''
volumes=() containers=()
declare -A names=() keys=() options=()
read -r cmdline </proc/cmdline
for word in $cmdline; do
    value=${word#*=}
    case $word in
        rd.driver.pre=* | rd.modules_load=* | modules_load=*) modules+=,$value ;;
        rd.luks.uuid=*) containers+=("${value#luks-}") ;;
        rd.luks.name=*=*) containers+=("${value%%=*}") names[${value%%=*}]=${value#*=} ;;
        rd.luks.key=*=*) keys[${value%%=*}]=${value#*=} ;;
        rd.luks.options=*=*) options[${value%%=*}]=,${value#*=}, ;;
        rd.luks.options=*) discard=,$value, ;;
        rd.lvm.lv=*) volumes+=("$value") ;;
        root=*) root=$value ;;
        rootflags=*) flags=,$value ;;
        rootfstype=*) type=$value ;;
        ro | rw) mode=$word ;;
        init=*) init=$value ;;
        rd.break) break=yes ;;
    esac
done
for module in ${modules//,/ }; do
    modprobe --quiet "$module" || echo "initramfs: no module '$module'"
done

# The device of NAME=VALUE or of a path, when it is there.
find_device() {
    if [[ $1 == /* ]]; then
        [[ -b $1 ]] && echo "$1"
    else
        findfs "$1" 2>/dev/null
    fi
}

# Ask on every console at once, without echo; the first answer counts. It goes through pipes alone.
ask() {
    local console reader answer
    rm -f /run/answer
    mkfifo -m 0600 /run/answer
    for console in $(</sys/class/tty/console/active); do
        (
            exec <>"/dev/$console" >&0 2>&0
            IFS= read -rsp "$1" answer && printf '%s\n' "$answer" >/run/answer
        ) &
    done
    IFS= read -r answer </run/answer
    for reader in $(jobs -p); do
        kill "$reader"
    done 2>/dev/null
    wait
    for console in $(</sys/class/tty/console/active); do
        stty sane <"/dev/$console"
        echo >"/dev/$console"
    done 2>/dev/null
    rm -f /run/answer
    passphrase=$answer
}

open_with() {
    cryptsetup open --type luks --key-file="$1" ${allow:+"$allow"} "$device" "$name"
}

# By the key that is configured, else by one of the conventional name, else by a passphrase.
open_container() {
    local uuid=$1 device=$2 name=${names[$1]:-luks-$1} key=${keys[$1]:-/etc/cryptsetup-keys.d/${names[$1]:-luks-$1}.key}
    local allow='' passphrase='' try medium
    [[ ${options[$uuid]:-$discard} == *,discard,* ]] && allow=--allow-discards
    if [[ $key == *:* ]]; then
        mkdir -p /run/key
        if medium=$(find_device "${key#*:}") && mount -o ro "$medium" /run/key; then
            [[ -r /run/key/${key%%:*} ]] && open_with "/run/key/${key%%:*}" && umount /run/key && return
            umount /run/key
        fi
    elif [[ -r $key ]]; then
        open_with "$key" && return
    fi
    [[ ${keys[$uuid]} ]] && echo "initramfs: the key ${keys[$uuid]} does not open $device"
    for ((try = 0; try < TRIES; try++)); do
        ask "Passphrase for $name ($device): "
        printf %s "$passphrase" | open_with - && return
    done
    return 1
}

# Containers lie on volumes, and volumes on containers: in rounds, until the root is there. Disks may still be on their way.
find_root() {
    local try each device output missing=()
    for ((try = 0; try < PATIENCE; try++)); do
        missing=()
        for each in "${containers[@]}"; do
            [[ ${opened[$each]} ]] && continue
            if ! device=$(find_device "UUID=$each"); then
                missing+=("there is no LUKS container $each")
            elif open_container "$each" "$device"; then
                opened[$each]=yes try=0
            else
                reason="$device was not opened in $TRIES tries"
                return 1
            fi
        done
        for each in "${volumes[@]}"; do
            [[ ${opened[$each]} ]] && continue
            if output=$(lvm lvchange --sysinit --quiet --activate y "$each" 2>&1); then
                opened[$each]=yes
            else
                missing+=("the logical volume '$each': $output")
            fi
        done
        found=$(find_device "$root") && return
        sleep 0.2
    done
    reason="no root '$root' after 30 s${missing[0]:+: ${missing[0]}}"
    return 1
}

declare -A opened=()
found='' reason=''
until find_root; do
    shell "$reason"
done

# To udev a mapped device that it has not seen coming is none of its business, unless it is told.
for file in /sys/class/block/dm-*/dm/name; do
    [[ -e $file ]] || continue
    read -r name <"$file"
    echo "ACTION==\"add\", SUBSYSTEM==\"block\", ATTR{dm/name}==\"$name\", ENV{DM_UDEV_PRIMARY_SOURCE_FLAG}=\"1\"" \
        >>/run/udev/rules.d/09-root-volume.rules
done
until mount -t "$type" -o "$mode$flags" "$found" /sysroot; do
    shell "$found cannot be mounted"
    found=$(find_device "$root")
done
[[ $break ]] && shell
exec switch_root /sysroot "$init" "$@"
