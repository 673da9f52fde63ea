#!/bin/bash
# The live medium's whole initramfs: one script as /init and the few programs it calls. See docs/adr/0002-live-initramfs.md.

check() {
    return 255 # only when asked for
}

depends() {
    return 0
}

install() {
    inst_multiple bash cp mkdir mount sleep switch_root wipefs
    inst_script "$moddir/init.sh" /init
    inst_dir /dev /proc /run /sys /sysroot
    ln -sfn bash "$initdir/usr/bin/sh"
}
