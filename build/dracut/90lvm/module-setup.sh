#!/bin/bash
# The whole initramfs of a system whose root is a logical volume: one script as /init and the few programs it calls.

check() {
    return 255 # only when asked for
}

depends() {
    return 0
}

install() {
    inst_multiple bash findfs lvm mkdir mount sleep switch_root
    inst_script "$moddir/init.sh" /init
    inst_dir /dev /etc/lvm /proc /run/lock/lvm /run/lvm /sys /sysroot
    # Nothing is remembered here, and there is no udev to ask or to wait for.
    cat >"$initdir/etc/lvm/lvm.conf" <<-'EOF'
	activation { udev_sync = 0 udev_rules = 0 monitoring = 0 }
	backup { backup = 0 archive = 0 }
	devices { obtain_device_list_from_udev = 0 external_device_info_source = "none" use_devicesfile = 0 }
	EOF
    ln -sfn bash "$initdir/usr/bin/sh"
}
