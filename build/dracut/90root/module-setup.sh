#!/bin/bash
# The whole initramfs of a system whose root the kernel alone cannot mount: one script as /init, the programs it calls, and
# the kernel modules that such a root may need, of every kernel that is installed beside dracut.

check() {
    return 255 # only when asked for
}

depends() {
    return 0
}

install() {
    local kernel
    inst_multiple bash cryptsetup findfs lvm mkdir mkfifo modprobe mount rm sleep stty switch_root umount
    inst_script "$moddir/init.sh" /init
    inst_dir /dev /etc/lvm /etc/modprobe.d /proc /run/lock/lvm /run/lvm /sys /sysroot
    # Nothing is remembered here, and there is no udev to ask or to wait for.
    cat >"$initdir/etc/lvm/lvm.conf" <<-'EOF'
	activation { udev_sync = 0 udev_rules = 0 monitoring = 0 }
	backup { backup = 0 archive = 0 }
	devices { obtain_device_list_from_udev = 0 external_device_info_source = "none" use_devicesfile = 0 }
	EOF
    ln -sfn bash "$initdir/usr/bin/sh"
    for kernel in /usr/lib/modules/*/vmlinuz; do
        kernel=${kernel%/vmlinuz}
        update-initramfs --modules "${kernel##*/}" "$initdir" || dfatal "the modules of ${kernel##*/} are not complete"
    done
}
