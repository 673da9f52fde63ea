"""The machine as a whole: it is up, closed, complete and says who it is."""

from __future__ import annotations

import time
from typing import Any

from testinfra.host import Host


def test_system_is_running(host: Host) -> None:
    state = host.run("systemctl is-system-running --wait")
    failed = host.run("systemctl --failed --no-legend --plain").stdout
    assert state.stdout.strip() == "running", failed


def test_no_failed_unit(host: Host) -> None:
    assert host.check_output("systemctl --failed --no-legend --plain") == ""


def test_the_boot_is_found_good(host: Host) -> None:
    """On a disk, where GRUB counts; a live medium has nothing to go back to."""
    if not host.file("/boot/grub/grubenv").exists:
        return
    assert (
        host.check_output("systemctl is-active boot-complete.target boot-assessment-good.service") == "active\nactive"
    )
    status = dict(line.split("=", 1) for line in host.check_output("boot-assessment status").splitlines())
    assert status["good_kernel"] == host.check_output("uname -r")
    assert (status["boot_counter"], status["fallback"], status["update_undone"]) == ("", "", "")
    assert status["kernels"].split()[0] == status["good_kernel"]


def test_only_ssh_listens_outside_loopback(host: Host) -> None:
    open_to_all = set()
    for line in host.check_output("ss -Hlntu").splitlines():
        protocol, address = line.split()[0], line.split()[4]
        where, _, port = address.rpartition(":")
        where = where.strip("[]").split("%")[0]
        # A DHCP client must hear answers; it is bound to one address and interface.
        if where.startswith("127.") or where == "::1" or (protocol == "udp" and port in ("68", "546")):
            continue
        open_to_all.add((protocol, port))
    assert open_to_all == {("tcp", "22")}


def test_no_account_has_a_password(host: Host) -> None:
    for line in host.check_output("cat /etc/shadow").splitlines():
        name, password = line.split(":")[:2]
        assert password.startswith(("!", "*")), f"{name} has a password"


def test_every_account_has_a_shadow_entry(host: Host) -> None:
    accounts = {line.split(":")[0]: line.split(":")[1] for line in host.check_output("cat /etc/passwd").splitlines()}
    shadow = {line.split(":")[0] for line in host.check_output("cat /etc/shadow").splitlines()}
    assert set(accounts.values()) == {"x"} and set(accounts) == shadow


def test_ssh_refuses_passwords(host: Host) -> None:
    settings = host.check_output("sshd -T").splitlines()
    assert "passwordauthentication no" in settings
    assert "kbdinteractiveauthentication no" in settings
    assert "permitemptypasswords no" in settings


def test_packages_are_as_installed(host: Host, facts: dict[str, Any]) -> None:
    """But for configuration files (c) that the image's own configuration sets."""
    result = host.run("rpm -Va")
    differing = [line.split() for line in result.stdout.splitlines()]
    others = [line for line in differing if line[-2:] not in [["c", path] for path in facts["configured"]]]
    assert (others, result.stderr) == ([], "")
    assert result.rc == (1 if differing else 0)


def test_every_dependency_is_installed(host: Host) -> None:
    assert host.check_output("rpm -Va --nofiles") == ""


def test_identity(host: Host, facts: dict[str, Any]) -> None:
    lines = dict(line.split("=", 1) for line in host.check_output("cat /etc/os-release").splitlines() if "=" in line)
    found = {key: lines[key].strip('"') for key in ("NAME", "ID", "VERSION_ID")}
    assert found == facts["identity"]


def test_cgroup_v2(host: Host) -> None:
    assert host.check_output("stat -fc %T /sys/fs/cgroup") == "cgroup2fs"


# A module without an interface, device or parameter of its own.
MODULE = "nft_numgen"


def test_only_modules_of_the_kernel_are_loaded(host: Host) -> None:
    host.check_output(f"cp $(modinfo -n {MODULE}) /run/{MODULE}.ko && echo >> /run/{MODULE}.ko")
    refused = host.run(f"insmod /run/{MODULE}.ko")
    assert refused.rc != 0 and "rejected" in refused.stderr, refused.stderr
    host.check_output(f"modprobe {MODULE} && modprobe -r {MODULE} && rm /run/{MODULE}.ko")


def test_security_modules_and_io_uring(host: Host) -> None:
    found = host.check_output("cat /sys/kernel/security/lsm").split(",")
    assert {"lockdown", "landlock", "yama", "apparmor"} <= set(found)
    assert host.check_output("sysctl -n kernel.io_uring_disabled") == "2"


def test_network(host: Host) -> None:
    for unit in ("systemd-networkd", "systemd-resolved", "sshd"):
        assert host.check_output(f"systemctl is-active {unit}") == "active", unit
    assert "default via" in host.check_output("ip -4 route")


def clock_is_right(host: Host) -> bool:
    """Within five seconds of this machine's, as far as one look tells."""
    before = time.time()
    there = float(host.check_output("date +%s.%N"))
    return before - 5 <= there <= time.time() + 5


def test_time(host: Host, facts: dict[str, Any]) -> None:
    """The clock is right from the start; one that is wrong is set by the time server that the network names."""
    net = facts["testnet"]
    assert clock_is_right(host)
    route = host.check_output("ip -4 -o route show default").split()
    card = route[route.index("dev") + 1]
    rule = f"OUTPUT -d {net['host']} -p udp --dport 123 -j DNAT --to-destination {net['host']}:{net['ntp_port']}"
    host.check_output(f"iptables -t nat -I {rule}")
    host.check_output(f"timedatectl ntp-servers {card} {net['host']}")
    try:
        host.check_output("systemctl stop systemd-timesyncd && date -s '+1 hour' && systemctl start systemd-timesyncd")
        deadline = time.monotonic() + 40
        while not clock_is_right(host):
            assert time.monotonic() < deadline, host.check_output("journalctl -b -u systemd-timesyncd | tail -n 20")
            time.sleep(0.5)
        assert host.check_output("timedatectl show -P NTPSynchronized") == "yes"
    finally:
        if not clock_is_right(host):
            host.run(f"date -s @{time.time():.3f}")
        host.run(f"timedatectl revert {card}; iptables -t nat -D {rule}")


def test_nothing_critical_in_the_journal(host: Host) -> None:
    assert host.check_output("journalctl -b -q -p crit --no-pager -o cat") == ""


def test_nothing_has_crashed(host: Host) -> None:
    """No program, and nothing in the kernel."""
    found = host.run("journalctl -b -q --no-pager | grep -E 'segfault at|dumped core|general protection fault|Oops: '")
    assert (found.stdout, found.rc) == ("", 1)


def test_firmware_is_the_one_asked_for(host: Host, facts: dict[str, Any]) -> None:
    assert host.file("/sys/firmware/efi").exists == (facts["firmware"] == "uefi")


def test_the_guest_resolves_a_name(host: Host, facts: dict[str, Any], testnet_dns: None) -> None:
    net = facts["testnet"]
    assert net["host"] in host.check_output(f"resolvectl query --legend=no {net['name']}")
    assert host.check_output(f"curl -sS --max-time 20 {net['url']}") == net["token"]
