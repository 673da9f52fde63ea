"""Keys of images that say what they have besides packages: each mistake with file, line and the nearest key."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from photonbuild.config.customisation import KEYS
from photonbuild.config.models import ImageFile
from photonbuild.errors import ConfigError
from photonbuild.pipeline.configuration import load_config

ROOT = Path(__file__).parents[3]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2yCkz6Nf2TJ2bJY2N0bHl5wq0Zg1cR1vG8s3Zp5QxL a-key"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "build", tmp_path / "build", ignore=shutil.ignore_patterns("kernel", "*.lock"))
    return tmp_path


def refusal(checkout: Path, text: str, base: str = "raw") -> tuple[ConfigError, int]:
    """The error for an image with these keys besides its own, and the number of the line before them."""
    path = checkout / "build" / "images" / f"{base}.yaml"
    before = path.read_text(encoding="utf-8")
    path.write_text(f"{before}{text}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(checkout)
    return caught.value, before.count("\n")


REFUSED = [
    ("users:\n  - name: ops\n    password: secret\n", 3, "key 'users.0.password': a plain password is not accepted"),
    ("users:\n  - name: ops\n    password: secret\n", 3, "hash it first: openssl passwd -6"),
    (
        "users:\n  - name: ops\n    password: $1$salt$abcdefghijklmnopqrstuv\n",
        3,
        "a hash of this kind is easily undone",
    ),
    (
        "users:\n  - name: ops\n    authorized_keys: [ssh-ed25519 AAAA]\n",
        3,
        "one line is expected as ssh-keygen writes",
    ),
    ("users:\n  - name: ops\n    authorized_keys: [-----BEGIN OPENSSH PRIVATE KEY-----]\n", 3, "this is a private key"),
    ("users:\n  - name: ops\n    shel: /bin/sh\n", 3, "unknown key 'shel', did you mean 'shell'"),
    ("users:\n  - name: Ops\n", 2, "key 'users.0.name': "),
    ("users:\n  - name: ops\n    uid: 70000\n", 3, "key 'users.0.uid': "),
    ("users:\n  - name: ops\n    home: home/ops\n", 3, "'home/ops' is no plain absolute path of a file"),
    ("users:\n  - name: ops\n    comment: 'a:b'\n", 3, "one line without a colon is expected"),
    ("usrs: []\n", 1, "unknown key 'usrs', did you mean 'users'"),
    ("hostname: -a\n", 1, "'-a' is no host name"),
    ("timezone: ../etc/passwd\n", 1, "is no name of a time zone, like Europe/Berlin"),
    ("sysctl:\n  swappiness: 1\n", 2, "'swappiness' is no name of a kernel parameter"),
    ("sysctl:\n  vm.swappiness: [1]\n", 2, "key 'sysctl.vm.swappiness': "),
    ("trees:\n  - source: /etc\n", 2, "a path is expected that begins in build/"),
    ("trees:\n  - source: a\n    permissions:\n      /x: {mode: 999}\n", 4, "key 'trees.0.permissions./x.mode': "),
    ("network_files:\n  - name: a.conf\n    text: x\n", 2, "key 'network_files.0.name': "),
    ("network_files:\n  - name: a.network\n", 2, "either 'text' or 'source' is needed"),
    ("firewall: {}\n", 1, "rules for 'ipv4' or 'ipv6' are needed"),
    ("first_boot:\n  - name: a\n    text: x\n    after: [docker]\n", 4, "'docker' is no name of a unit"),
    ("modules:\n  lode: [a]\n", 2, "unknown key 'lode', did you mean 'load'"),
    ("remove: [etc/motd]\n", 1, "'etc/motd' is no plain absolute path of a file"),
    ("containers:\n  - archive: a.tar\n    name: Image\n", 3, "key 'containers.0.name': "),
    ("files:\n  - path: /x\n    text: y\n    mode: 12\n", 4, "key 'files.0.mode': "),
]


@pytest.mark.parametrize(("text", "line", "message"), REFUSED)
def test_refused(checkout: Path, text: str, line: int, message: str) -> None:
    error, before = refusal(checkout, text)
    said = f"{error.where}: {error.message}\n{error.detail or ''}"
    assert message in said and f"build/images/raw.yaml:{before + line}" in said, said
    assert "secret" not in said and error.exit_code == 2


IN_GROUP = "  disks: [{name: a, size: 99 MiB, volume_group: b}]\n  volume_groups: ["
DISKS = [
    ("  lvm: {}\n", "key 'disk.lvm': groups are in 'volume_groups'"),
    ("  luks: {}\n", "key 'disk.luks': an encrypted disk needs a key of its own machine"),
    ("  read_only: true\n", "a root that is read_only needs 'var: true'"),
    ("  swap: 3 GiB\n", "are larger than size"),
    (
        "  partitions: [{name: data, path: /data, size: 100 MiB, filesystem: xfs}]\n",
        "'data': xfs needs at least 300 MiB",
    ),
    *(
        (f"  {text}\n", message)
        for text, message in [
            ("disks: [{name: a}]", "key 'size' is missing"),
            ("disks: [{name: a, size: 9 MiB, sizes: 3}]", "unknown key 'sizes', did you mean 'size'"),
            ("disks: [{name: A, size: 9 MiB}]", "key 'disk.disks.0.name': "),
            ("disks: [{name: a, size: 9 MiB}, {name: a, size: 9 MiB}]", "disk 'a' is there twice"),
            (
                "disks: [{name: a, size: 9 MiB, partitions: [{name: d, path: /d, size: 8 MiB}]}]",
                "partitions take 10 MiB",
            ),
            ("disks: [{name: a, size: 9 MiB, partitions: [{name: d, path: /usr, size: 1 MiB}]}]", "partition '/usr': "),
            ("disks: [{name: a, size: 9 MiB, partitions: [{name: d, path: /d}]}]", "'size' is missing"),
            (
                "disks: [{name: a, size: 9 MiB, partitions: [{name: d, size: 1 MiB}]}]",
                "either 'path' or 'volume_group'",
            ),
            ("disks: [{name: a, size: 99 MiB, volume_group: b}]", "no volume group 'b' in volume_groups"),
            ("volume_groups: [{name: b}]", "volume group 'b' lies on nothing"),
            (
                "partitions: [{name: pv, volume_group: b}]\n  volume_groups: [{name: b}]",
                "size and root_size go together",
            ),
            ("raid: {}", "key 'disk.raid': an array"),
        ]
    ),
    *(
        (f"{IN_GROUP}{{name: b, volumes: [{text}]}}]\n", message)
        for text, message in [
            ("{name: r, path: /}", "the root needs an initramfs on a volume"),
            ("{name: r, path: /r, size: 97 MiB}", "the volumes of 'b' take 100 MiB, and it has 96"),
            ("{name: r, path: /r}, {name: s, path: /s}", "volumes 'r' and 's': one of 'b' at most"),
            ("{name: r, path: /r}, {name: r, path: /s, size: 4 MiB}", "volume of 'b' 'r' is there twice"),
            ("{name: r, path: /r}, {name: s, path: /r, size: 4 MiB}", "partition '/r': there is one already"),
            ("{name: r, path: /r, filesystem: swap}", "'filesystem: swap' and none"),
            ("{name: r, filesystem: swap}", "only a file system takes what is left"),
            ("{name: r, path: /r, size: 8 MiB, filesystem: xfs}", "'r': xfs needs at least 300 MiB"),
            ("{name: snapshot1, path: /r}", "LVM has names like this"),
            ("{name: 1a, path: /r}", "key 'disk.volume_groups.0.volumes.0.name': "),
            ("{name: r, path: /r, filesystem: ext5}", "unknown value 'ext5', did you mean 'ext4'"),
        ]
    ),
    ("  partitions: [{name: root, path: /data, size: 100 MiB}]\n", "partition 'root': there is one already"),
    ("  partitions: [{name: data, path: /usr, size: 100 MiB}]\n", "partition '/usr': there is one already"),
    (
        "  partitions: [{name: data, path: /d, size: 9 MiB, filesystem: zfs}]\n",
        "unknown value 'zfs', did you mean 'xfs'",
    ),
]


@pytest.mark.parametrize(("text", "message"), DISKS)
def test_disks_that_cannot_be(checkout: Path, text: str, message: str) -> None:
    path = checkout / "build" / "images" / "raw.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("  size: 2 GiB\n", f"  size: 2 GiB\n{text}"))
    with pytest.raises(ConfigError) as caught:
        load_config(checkout)
    assert message in caught.value.message and str(caught.value.where).startswith("build/images/raw.yaml:")


def test_what_nobody_asked_for_is_in_no_dump(checkout: Path) -> None:
    """A dump is in an image's identity: new keys must not make others of the images that there are."""
    new = KEYS | {"owner", "group", "swap", "partitions", "read_only", "disks", "volume_groups"}
    for image in load_config(checkout).images.values():
        dump = image.model_dump(mode="json")
        disk = dump.get("disk") or {}
        assert not new & {*dump, *disk, *(key for file in dump["files"] for key in file)}
    asked = ImageFile(path="/x", text="", owner="ops").model_dump()
    assert asked["owner"] == "ops" and "group" not in asked


def test_a_crypted_password_is_in_no_dump(checkout: Path) -> None:
    path, crypted = checkout / "build" / "images" / "raw.yaml", "$6$salt$" + "a" * 86
    with path.open("a", encoding="utf-8") as handle:
        handle.write(f"users:\n  - {{name: ops, password: '{crypted}', authorized_keys: ['{KEY}']}}\n")
    image = load_config(checkout).image("raw")
    assert image.users[0].password == crypted and crypted not in image.model_dump_json()
