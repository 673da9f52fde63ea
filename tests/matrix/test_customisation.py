"""Images that have something of everything that they can be told, as machines: checked inside by testinfra."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import testinfra
from testinfra.host import Host

from photonbuild.machines.acceleration import best_accel
from photonbuild.machines.drive import boot_drive
from photonbuild.machines.hardware import Hardware
from photonbuild.machines.qemu import Machine
from photonbuild.store import Store
from tests.matrix.conftest import Variant
from tests.support import updates
from tests.support.site import KEY, PASSWORD, USER_DATA, settings, write_site

pytestmark = pytest.mark.matrix

# Seconds until a machine lets in: it has first boots to do, and images to load.
PATIENCE = 900.0
DISK = {
    "size": "4 GiB",
    "var": True,
    "root_size": "1600 MiB",
    "swap": "128 MiB",
    "read_only": True,
    "partitions": [{"name": "data", "path": "/srv/data", "size": "400 MiB", "filesystem": "xfs"}],
}
UUID = "6a1f54c9-02de-4b8f-9c33-5d0e7a8b1c42"
# systemd takes the id of QEMU's machines from their firmware in any case, and those of VMware where it is told to.
OF_VMWARE = ("-uuid", UUID, "-cpu", "qemu64,-hypervisor", "-smbios", "type=1,manufacturer=VMware")


@pytest.fixture(scope="module")
def site(checkout: Path, machine_seed: Path) -> Path:
    return write_site(checkout / "build", machine_seed / "usr/bin/busybox")


@pytest.fixture(scope="module")
def machine(variant: Variant, site: Path, store: Store, machine_seed: Path) -> Iterator[Machine]:
    """A machine of the image with a root that is read-only."""
    with boot_drive(variant("raw", disk=DISK, keyboard="de-latin1", packages=["kbd"], **settings())) as plugged:
        accel = best_accel(machine_seed, store.scratch)
        hardware = Hardware(boot_drive=plugged, accel=accel, options=OF_VMWARE, restarts=True)
        with Machine(hardware, seed=machine_seed, scratch=store.scratch) as started:
            started.wait_for_ssh(PATIENCE)
            yield started
            started.shut_down()


@pytest.fixture(scope="module")
def host(machine: Machine) -> Host:
    return testinfra.get_host("ssh://machine", ssh_config=str(machine.config))


def test_nothing_failed(host: Host) -> None:
    assert host.run("systemctl is-system-running --wait").stdout.strip() == "running", host.run(
        "systemctl --failed; journalctl -b -p err --no-pager"
    ).stdout


def test_accounts(host: Host) -> None:
    user = host.user("ops")
    assert (user.uid, user.gid, user.home, user.shell) == (1000, 1000, "/home/ops", "/bin/bash")
    assert {"ops", "wheel", "site"} == set(user.groups) and user.gecos == "Operations"
    assert (host.user("batch").group, host.user("batch").home) == ("site", "/srv/batch")
    assert host.file("/home/ops/.ssh/authorized_keys").content_string == f"{KEY}\n"
    assert (host.file("/home/ops/.ssh").user, host.file("/home/ops/.ssh").mode) == ("ops", 0o700)
    # PAM itself takes the password.
    for word, accepted in ((PASSWORD, True), ("wrong", False)):
        asked = f"echo {shlex.quote(word)} | su -c id ops"
        found = host.run(f"runuser -u batch -- sh -c {shlex.quote(asked)}")
        assert (found.rc == 0) == accepted, found


def test_files_and_trees(host: Host) -> None:
    assert host.file("/etc/site.conf").mode == 0o640 and host.file("/etc/site.conf").group == "site"
    page = host.file("/srv/data/page")
    assert (page.user, page.group, page.mode, page.content_string) == ("batch", "site", 0o2750, "hello\n")
    assert host.file("/usr/share/site/binary").content == bytes(range(256))
    assert host.check_output("readlink /usr/share/site/link") == "/srv/data/page"
    # It is busybox, which goes by the name that it is called by.
    assert host.check_output("bash -c 'exec -a busybox /usr/bin/site-tool echo hello'") == "hello"
    assert not host.file("/usr/share/licenses/bash").exists
    built = host.file("/usr/share/site/built").content_string.split()
    assert built == ["site-1.example.org", "0", "1767225600"]


def test_services(host: Host) -> None:
    for unit, state in (("systemd-timesyncd", "disabled"), ("gdn", "masked"), ("first-boot-site-once", "enabled")):
        assert host.run(f"systemctl is-enabled {unit}.service").stdout.strip() == state


def test_kernel(host: Host) -> None:
    assert host.sysctl("vm.swappiness") == 7 and host.sysctl("net.ipv4.conf.all.log_martians") == 1
    assert host.check_output("ls -d /sys/block/nbd* | wc -l") == "3"
    assert host.run("modprobe nfs").rc != 0 and "nfs" not in host.check_output("lsmod").split()


def test_names_and_language(host: Host) -> None:
    assert host.check_output("hostname") == "site-1.example.org"
    assert host.check_output("readlink /etc/localtime").endswith("/Europe/Berlin")
    assert host.check_output("date -d @1767225600 +%H:%M") == "01:00"
    assert host.file("/etc/locale.conf").content_string == "LANG=C.UTF-8\n"


def test_keyboard(host: Host) -> None:
    assert host.file("/etc/vconsole.conf").content_string == "KEYMAP=de-latin1\n"
    # The key right of T, which has a Y on others.
    assert host.check_output("dumpkeys --console=/dev/tty0 | grep -E '^keycode +21 ='").split()[3].lstrip("+") == "z"


def test_network_and_firewall(host: Host) -> None:
    assert host.interface("site0").exists
    for program in ("iptables", "ip6tables"):
        rules = host.check_output(f"{program} -S").splitlines()
        assert "-A INPUT -j SITE" in rules and "-A SITE -p tcp -m tcp --dport 4242 -j DROP" in rules
    assert host.file("/etc/firewall/ipv4.rules").mode == 0o600


def test_the_authority_is_trusted(host: Host, site: Path) -> None:
    text = (site / "authority.pem").read_text(encoding="utf-8").strip()
    assert text in host.file("/etc/ssl/certs/ca-certificates.crt").content_string
    # What curl, Go and Python read is that very file.
    assert (
        host.check_output("readlink -f /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/cert.pem | uniq | wc -l") == "1"
    )


def test_disk(host: Host) -> None:
    for path, kind, options in (("/", "ext4", {"ro"}), ("/var", "ext4", {"rw"}), ("/srv/data", "xfs", {"rw", "nodev"})):
        mount = host.mount_point(path)
        assert mount.filesystem == kind and options <= set(mount.options), path
    assert host.check_output("swapon --noheadings --show=SIZE --bytes") == str((128 << 20) - 4096)
    assert host.run("touch /usr/x").rc != 0 and host.run("touch /etc/x").rc != 0
    host.run_expect([0], "touch /root/x /home/ops/x /var/x /srv/data/x")


def test_first_boot_ran_once(host: Host) -> None:
    assert host.file("/var/lib/site-once").content_string == "once\n"


def test_containers(host: Host) -> None:
    host.run_expect([0], "systemctl is-active preload.service")
    listed = host.check_output("docker image ls --format '{{.Repository}}:{{.Tag}}'").split()
    assert {"example.org/site/one:1", "site/two:1"} <= set(listed), listed
    assert host.check_output("docker run --rm --network none example.org/site/one:1") == "this is one"
    assert host.check_output("docker run --rm --network none site/two:1") == "this is two"
    layers = [host.check_output(f"docker image inspect -f '{{{{json .RootFS.Layers}}}}' {name}") for name in listed]
    assert len({layer.split(",")[0] for layer in layers}) == 1


def test_packages_but_for_what_was_asked(host: Host) -> None:
    differing = [line.split()[-1] for line in host.run("rpm -Va").stdout.splitlines()]
    assert set(differing) <= {
        "/etc/pki/tls/certs/ca-bundle.crt", "/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow",
        "/etc/localtime", *(path for path in differing if path.startswith("/usr/share/licenses/bash")),
    }  # fmt: skip


def test_what_is_done_once_is_not_done_again(host: Host) -> None:
    """As a second boot asks: the units' own condition."""
    for unit in ("first-boot-site-once", "preload"):
        host.run_expect([0], f"systemctl stop {unit} && systemctl start {unit}")
        assert host.check_output(f"systemctl show -P ConditionResult {unit}") == "no"
    assert host.file("/var/lib/site-once").content_string == "once\n"


def test_the_id_of_the_machine_stays(machine: Machine) -> None:
    """It is that of the firmware at each start; the image has none, and none is written down."""
    host = updates.Host(machine)
    assert host.ssh("systemd-detect-virt", check=False).strip() == "vmware"
    for _ in range(2):
        assert host.ssh("cat /etc/machine-id").strip() == UUID.replace("-", "")
        assert host.ssh("unshare --mount sh -c 'umount /etc/machine-id && wc -c </etc/machine-id'").strip() == "0"
        host.restart(timeout=PATIENCE)
    assert host.ssh("cat /etc/machine-id").strip() == UUID.replace("-", "")


def test_user_data_of_the_image(variant: Variant, site: Path, store: Store, machine_seed: Path) -> None:
    """cloud-init finds its data in the image itself, with nothing of a cloud around it."""
    cloud = {"user_data": {"text": USER_DATA}}
    image = variant("qcow2", hostname="by-the-image", cloud_init=cloud)
    with boot_drive(image) as plugged:
        hardware = Hardware(boot_drive=plugged, accel=best_accel(machine_seed, store.scratch))
        with Machine(hardware, seed=machine_seed, scratch=store.scratch) as started:
            started.wait_for_ssh(PATIENCE)
            assert '"done"' in started.ssh("cloud-init status --wait --format json", check=False).stdout
            assert started.ssh("cat /etc/site-cloud; stat -c ' %a' /etc/site-cloud").stdout == "by cloud-init 600\n"
            assert started.ssh("hostname").stdout.strip() == "by-the-image"
            started.shut_down()
