#!/bin/bash
# What the live system's initramfs needs to fetch its root over the network: drivers of network cards with udev, which
# loads them, networkd, which reads dracut's own words (ip=, vlan=, bond=, nameserver=), and curl.

check() {
    return 255 # only when asked for
}

depends() {
    echo live
}

install() {
    local systemd=/usr/lib/systemd kernel name file
    inst_multiple cat chown curl grep rm sed sha256sum sort stat udevadm \
        $systemd/systemd-network-generator $systemd/systemd-networkd $systemd/systemd-networkd-wait-online \
        $systemd/systemd-udevd
    inst_multiple $systemd/network/80-dhcp.network $systemd/network/99-default.link \
        /usr/lib/udev/rules.d/75-net-description.rules /usr/lib/udev/rules.d/80-drivers.rules \
        /usr/lib/udev/rules.d/80-net-setup-link.rules /etc/pki/tls/certs/ca-bundle.crt
    inst_simple "$moddir/netroot.sh" /netroot.sh
    # networkd gives up root's rights.
    grep -E '^(root|systemd-network):' /etc/passwd >"$initdir/etc/passwd"
    grep -E '^(root|systemd-network):' /etc/group >"$initdir/etc/group"
    for kernel in /usr/lib/modules/*; do
        inst_multiple "$kernel"/modules.{alias,builtin,dep,softdep,symbols}*
        for name in "$kernel"/kernel/drivers/net/{ethernet,bonding,mdio,phy} "$kernel"/kernel/drivers/net/{mdio,mii}.ko*; do
            [[ -e $name ]] && find "$name" -name '*.ko*' -type f
        done | sed 's,.*/,,; s/\.ko.*//' | xargs modprobe --set-version "${kernel##*/}" --all --show-depends |
            sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u >"$initdir/modules"
        while read -r file; do
            inst_simple "$file" || dfatal "no $file"
        done <"$initdir/modules"
        rm "$initdir/modules"
    done
}
