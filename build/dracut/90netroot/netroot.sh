# Sourced by /init of the live system: the network, and what is fetched over it. Without words of their own all cards ask
# for an address by DHCP; dracut's words ip=, vlan=, bond=, nameserver= and so on say otherwise, see dracut.cmdline(7).
#   root=live:URL             the root, an EROFS image; http or https
#   live.sha256=DIGEST        of these bytes; anything else is refused
#   live.medium=URL           the installer and its packages, an EROFS image; fetched for the word `installer` only
#   live.medium.sha256=DIGEST of these bytes
#   live.proxy=URL            what both go through
#   live.ca=FILE              a certificate in this initramfs that servers may be signed by, instead of the usual ones

read_words() {
    local word
    sha256='' medium_url='' medium_sha256='' proxy='' authority=''
    for word in $cmdline; do
        case $word in
            live.sha256=*) sha256=${word#*=} ;;
            live.medium=*) medium_url=${word#*=} ;;
            live.medium.sha256=*) medium_sha256=${word#*=} ;;
            live.proxy=*) proxy=${word#*=} ;;
            live.ca=*) authority=${word#*=} ;;
        esac
    done
}

network_up() {
    local id systemd=/usr/lib/systemd line server
    # Without an identity there is no DHCPv6; that of the system comes later.
    read -r id </proc/sys/kernel/random/uuid
    echo "${id//-/}" >/etc/machine-id
    $systemd/systemd-network-generator
    $systemd/systemd-udevd --daemon --resolve-names=never
    udevadm trigger --action=add --type=subsystems
    udevadm trigger --action=add --type=devices
    udevadm settle --timeout=60
    $systemd/systemd-networkd 2>/run/networkd.log &
    networkd=$!
    $systemd/systemd-networkd-wait-online --any --timeout="${1}" 2>/run/wait-online.log || return
    sed -n 's/^DNS=//p' /run/systemd/netif/links/* | while read -r line; do
        for server in $line; do
            echo "nameserver ${server%%#*}"
        done
    done >/etc/resolv.conf
}

# The system's own take over, as after a start without a network; leases are given back.
network_down() {
    udevadm control --exit
    kill "$networkd"
    wait "$networkd"
    rm -rf /run/udev /run/systemd/netif /run/networkd.log /run/wait-online.log
}

mib() {
    echo "$((($1 + 1048575) / 1048576)) MiB"
}

# Bytes that may be fetched: what the file system has left, and what the machine has left but for what a system needs.
room() {
    local left free
    read -r left free <<<"$(stat --file-system --format='%a %S' $live/rw)"
    left=$((left * free))
    free=$(($(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo) * 1024 - 192 * 1048576))
    ((free < left)) && left=$free
    echo $((left > 1 ? left : 1)) # curl takes 0 for no limit
}

# fetch URL DIGEST FILE
fetch() {
    local url=$1 shown=$1 digest=${2,,} file=$3 room size total options found code try
    [[ $url =~ ^(https?://)[^/@]*@(.*) ]] && shown=${BASH_REMATCH[1]}${BASH_REMATCH[2]}
    if [[ ! $url =~ ^https?://[^\"\\]+$ ]]; then
        shell "'$shown' is no http or https address"
        return 1
    fi
    if [[ ! $digest =~ ^[0-9a-f]{64}$ ]]; then
        shell "the command line has no SHA-256 digest (64 hexadecimal digits) of $shown"
        return 1
    fi
    room=$(room)
    options=(--silent --show-error --fail --location --proto '=http,https' --connect-timeout 30 --speed-limit 1000
        --speed-time 60 --retry 3 --retry-connrefused --max-filesize "$room" --output "$file"
        --write-out '%header{content-length}')
    [[ $url == https:* ]] && options+=(--proto-redir '=https')
    [[ $proxy ]] && options+=(--proxy "$proxy")
    [[ $authority ]] && options+=(--cacert "$authority")
    echo "live: fetching $shown"
    # A name server or a switch may need a moment; no second try changes an answer, or what fits.
    for ((try = 0; try < 3; try++)); do
        # The address may hold a password: it is read from the standard input.
        size=$(curl "${options[@]}" --config - <<<"url = \"$url\"")
        code=$?
        case $code in
            0 | 22 | 23 | 60 | 63) break ;;
        esac
        sleep 2
    done
    case $code in
        0) ;;
        23 | 63)
            total=$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)
            rm -f "$file"
            shell "$shown does not fit into memory: it has ${size:+$(mib "$size"), }$(mib "$room") are left for it of the machine's $(mib $((total * 1024))); give the machine more, or allow more with live.size="
            return 1
            ;;
        *)
            shell "$shown cannot be fetched"
            return 1
            ;;
    esac
    read -r found _ <<<"$(sha256sum "$file")"
    if [[ $found != "$digest" ]]; then
        rm -f "$file"
        shell "$shown is not what it should be: its SHA-256 is $found, not $digest"
        return 1
    fi
}

# Mounts the root, and with the word `installer` what a medium of the installer would have.
netroot() {
    read_words
    until network_up 90; do
        cat /run/networkd.log /run/wait-online.log
        shell "no network after 90 s"
        network_down
    done
    until fetch "$url" "$sha256" $live/rw/root.erofs; do :; done
    step mount -t erofs -o loop,ro $live/rw/root.erofs $live/root
    if [[ $installer ]]; then
        until fetch "$medium_url" "$medium_sha256" $live/rw/medium.erofs; do :; done
        step mount -t erofs -o loop,ro $live/rw/medium.erofs $live/medium
    fi
    network_down
}
