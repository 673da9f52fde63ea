"""From an image's settings to what is put into its root: texts, trees, containers, digests. No tool is run."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from photonbuild.config.load import Config
from photonbuild.config.models import DiskImage
from photonbuild.disk import gpt
from photonbuild.errors import ConfigError
from photonbuild.images import disk, filesystems, layout
from photonbuild.images.customise import clouddata, containers
from photonbuild.images.customise.collect import customise
from photonbuild.images.customise.customised import Customised
from photonbuild.images.customise.texts import Text
from photonbuild.pipeline.configuration import load_config
from photonbuild.pipeline.installsets import filesystem_needs
from tests.support.oci_images import LAYER, configuration, file, layer, oci_layout, packed

ROOT = Path(__file__).parents[3]
RULES = "*filter\n:MINE - [0:0]\n-A INPUT -j MINE\nCOMMIT\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "build", tmp_path / "build", ignore=shutil.ignore_patterns("kernel", "*.lock"))
    (tmp_path / "build" / "site" / "tree" / "etc").mkdir(parents=True)
    (tmp_path / "build" / "site" / "tree" / "etc" / "a").write_text("a\n")
    return tmp_path


def configured(checkout: Path, changes: dict[str, Any], base: str = "raw", *, above: str = "") -> Config:
    path = checkout / "build" / "images" / f"{base}.yaml"
    image = yaml.safe_load((ROOT / "build" / "images" / path.name).read_text(encoding="utf-8")) | changes
    path.write_text(above + yaml.safe_dump(image, sort_keys=False, default_style=None), encoding="utf-8")
    return load_config(checkout)


def made(checkout: Path, base: str = "raw", *, above: str = "", **changes: Any) -> Customised:
    config = configured(checkout, changes, base, above=above)
    return customise(config, base, config.image(base))


def refusal(checkout: Path, base: str = "raw", **changes: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        made(checkout, base, **changes)
    assert str(caught.value.where).startswith("build/"), caught.value.where
    return f"{caught.value.where}: {caught.value.message}\n{caught.value.detail or ''}"


def test_nothing_is_asked_of_the_images_that_there_are(checkout: Path) -> None:
    config = load_config(checkout)
    assert all(customise(config, name, image).empty for name, image in config.images.items())


def test_digests_are_of_the_content_and_not_of_its_place(checkout: Path) -> None:
    changes: dict[str, Any] = {
        "users": [{"name": "ops", "password": "$6$salt$" + "a" * 86}],
        "trees": [{"source": "site/tree"}],
        "timezone": "UTC",
    }
    one, same = made(checkout, **changes), made(checkout, above="# a line more\n", **changes)
    assert one != same and one.digests() == same.digests() and not one.empty
    assert "$6$" not in json.dumps(one.digests())
    (checkout / "build/site/tree/etc/a").write_text("b\n")
    other = made(checkout, **changes).digests()
    assert {key for key in other if other[key] != one.digests()[key]} == {"/etc/a"}


def test_a_file_that_changes_meanwhile_is_seen(checkout: Path, tmp_path: Path) -> None:
    found = made(checkout, trees=[{"source": "site/tree"}])
    (checkout / "build/site/tree/etc/a").write_text("b\n")
    with pytest.raises(ConfigError, match="has changed while the image was made"):
        found.stage(tmp_path)


def test_what_is_named_by_itself_goes_over_a_tree(checkout: Path) -> None:
    found = made(checkout, trees=[{"source": "site/tree"}], files=[{"path": "/etc/a", "text": "mine\n"}])
    assert [entry.path for entry in found.entries] == ["/etc"]


def test_ids_are_fixed_and_free(checkout: Path) -> None:
    found = made(checkout, groups=[{"name": "a"}, {"name": "b", "gid": 1001}], users=[{"name": "c"}, {"name": "d"}])
    assert [(group.name, group.gid) for group in found.groups] == [("a", 1000), ("b", 1001)]
    assert [(user.name, user.uid) for user in found.users] == [("c", 1002), ("d", 1003)]


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"users": [{"name": "a"}, {"name": "a"}]}, "name 'a' is already given in line"),
    ({"users": [{"name": "a", "uid": 7}, {"name": "b", "uid": 7}]}, "uid '7' is already given in line"),
    ({"users": [{"name": "root", "authorized_keys": []}]}, "the key of the image does that"),
    ({"trees": [{"source": "site/tre"}]}, "no folder 'build/site/tre', did you mean 'tree'"),
    ({"trees": [{"source": "site/tree", "permissions": {"/etc/b": {"mode": "0600"}}}]}, "matches '/etc/b'"),
    ({"scripts": ["site/tree/etc/a"]}, "the first line of 'build/site/tree/etc/a' names no interpreter"),
    ({"first_boot": [{"name": "a", "text": "echo"}]}, "a program's first line is that of its interpreter"),
    ({"certificates": ["site/tree/etc/a"]}, "has no certificate in the form of PEM"),
    ({"certificates": ["site/tree/etc/b"]}, "no file 'build/site/tree/etc/b'"),
    ({"modules": {"load": ["a"], "deny": ["a"]}}, "'a' cannot be both loaded and denied"),
    ({"firewall": {"ipv4": {"text": RULES.replace("filter", "fliter")}}}, "unknown table 'fliter', did you mean"),
    ({"firewall": {"ipv4": {"text": RULES.replace("-A INPUT", "-A INPT")}}}, "no chain 'INPT', did you mean 'INPUT'"),
    ({"firewall": {"ipv4": {"text": RULES.replace("COMMIT\n", "")}}}, "'COMMIT' is missing"),
    ({"firewall": {"ipv4": {"text": "-A INPUT\n"}}}, "stands outside of a table"),
    ({"network_files": [{"name": "a.network", "text": "[Netwrk]\nDHCP=yes\n"}]}, "[Netwrk], did you mean 'Network'"),
    ({"network_files": [{"name": "a.network", "text": "[Network]\nDHCP\n"}]}, "'DHCP' is no setting"),
    ({"cloud_init": {"user_data": {"text": "#cloud-config\n"}}}, "it needs 'platform: nocloud'"),
    ({"timezone": "UTC", "files": [{"path": "/etc/localtime", "text": ""}]}, "'/etc/localtime' is already set by"),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES)
def test_mistakes(checkout: Path, changes: dict[str, Any], message: str) -> None:
    assert message in refusal(checkout, **changes)


def test_lines_of_a_text_in_the_settings_are_those_of_the_file(checkout: Path) -> None:
    path = checkout / "build" / "images" / "raw.yaml"
    before = path.read_text(encoding="utf-8")
    path.write_text(f"{before}firewall:\n  ipv4:\n    text: |\n      *filter\n      -A INPT\n      COMMIT\n")
    config = load_config(checkout)
    with pytest.raises(ConfigError) as caught:
        customise(config, "raw", config.image("raw"))
    assert caught.value.where == f"build/images/raw.yaml:{before.count(chr(10)) + 5}"


def test_settings_of_machines_mean_nothing_elsewhere(checkout: Path) -> None:
    said = refusal(checkout, "oci", hostname="a", sysctl={"vm.swappiness": 1})
    assert "key 'hostname' means nothing in an image that does not boot" in said and "key 'sysctl'" in said


def archive(folder: Path, name: str, *layers: bytes, architecture: str = "amd64") -> Path:
    place = oci_layout(folder / name, layers, configuration(layers, architecture=architecture), name=f"{name}:1")
    return packed(place, folder / f"{name}.tar")


def read(path: Path, name: str | None = None) -> list[containers.ContainerImage]:
    return list(containers.read_archive(path, arch="x86_64", name=name, where="f:1"))


def test_what_images_share_is_in_the_merged_archive_once(tmp_path: Path) -> None:
    images = [
        image
        for name in ("one", "two")
        for image in read(archive(tmp_path, name, LAYER, layer([file(name, name.encode())])))
    ]
    for target, given in (("merged.tar", images), ("again.tar", images[::-1])):
        containers.write_merged(given, tmp_path / target)
    assert (tmp_path / "merged.tar").read_bytes() == (tmp_path / "again.tar").read_bytes()
    with tarfile.open(tmp_path / "merged.tar") as tar:
        names = tar.getnames()
        index = tar.extractfile("index.json")
        assert index is not None
        listed = json.load(index)["manifests"]
    assert len(names) == len(set(names)) == 3 + 2 + 2 + 2
    assert [entry["annotations"][containers.FULL_NAME] for entry in listed] == [
        "docker.io/library/one:1",
        "docker.io/library/two:1",
    ]


@pytest.mark.parametrize(
    ("name", "whole"),
    [("a:1", "docker.io/library/a:1"), ("a/b:1", "docker.io/a/b:1"), ("localhost/a:1",) * 2, ("r.example/a:1",) * 2],
)
def test_names_have_a_registry(name: str, whole: str) -> None:
    assert containers.whole_name(name) == whole


def test_archives_that_are_none(tmp_path: Path) -> None:
    def said(path: Path, name: str | None = None) -> str:
        with pytest.raises(ConfigError) as caught:
            read(path, name)
        return caught.value.message

    (tmp_path / "text").write_text("text")
    assert "is no tar archive" in said(tmp_path / "text")
    assert "no image for amd64" in said(archive(tmp_path, "arm", LAYER, architecture="arm64"))
    whole = archive(tmp_path, "whole", LAYER)
    blobs = tmp_path / "whole" / "blobs" / "sha256"
    largest = max(blobs.iterdir(), key=lambda path: path.stat().st_size)
    content = largest.read_bytes()
    largest.write_bytes(content[:-1])
    assert "is missing, or not of the size" in said(packed(tmp_path / "whole", whole))
    largest.unlink()
    assert "is missing" in said(packed(tmp_path / "whole", whole))
    (tmp_path / "whole" / "index.json").write_text("[]")
    assert "is no JSON object" in said(packed(tmp_path / "whole", whole))
    (tmp_path / "whole" / "index.json").unlink()
    assert "it has no 'index.json'" in said(packed(tmp_path / "whole", whole))


def test_a_layer_that_is_damaged_is_seen_when_it_is_copied(tmp_path: Path) -> None:
    path = archive(tmp_path, "one", LAYER)
    images = read(path)
    layers = [d for d in images[0].blobs if d != images[0].manifest["digest"]]
    damaged = tmp_path / "one" / containers.member_name(layers[-1])
    damaged.write_bytes(damaged.read_bytes()[::-1])
    packed(tmp_path / "one", path)
    with pytest.raises(ConfigError, match="has another digest"):
        containers.write_merged(images, tmp_path / "merged.tar")


def test_a_disk_with_everything(checkout: Path) -> None:
    parts = [
        {"name": "data", "path": "/srv/data", "size": "400 MiB", "filesystem": "xfs"},
        {"name": "docker", "path": "/var/lib/docker", "size": "100 MiB"},
    ]
    wanted = {"size": "4 GiB", "var": True, "root_size": "1 GiB", "swap": "64 MiB", "read_only": True}
    config = configured(checkout, {"disk": {**wanted, "partitions": parts}})
    image = config.image("raw")
    assert isinstance(image, DiskImage)
    table = layout.partitions(image.disk, "i")
    assert [part.name for part in table] == ["bios", "esp", "swap", "data", "docker", "root", "var"]
    assert table[3].type == gpt.TYPES[gpt.LINUX]
    fstab = {f.path: f.text for f in disk.root_files(image, "i", "t")}["/etc/fstab"].splitlines()
    assert fstab[0].endswith(" / ext4 ro 0 1")
    assert [line.split()[1] for line in fstab] == [
        "/", "/var", "/srv/data", "/var/lib/docker", "none", "/home", "/root", "/boot/efi",
    ]  # fmt: skip
    places = {each.name: each.path for each in layout.filesystems(image.disk, "i") if each.path}
    home = {path: filesystems.home_of(f".{path}", places) for path in ("/", "/var", "/var/lib", "/var/lib/docker/x")}
    assert home == {"/": "root", "/var": "root", "/var/lib": "var", "/var/lib/docker/x": "docker"}
    argvs = {name: filesystems.split_argv(name, places)[4:] for name in places}
    assert argvs["var"][:2] == ["--exclude=./var/lib/docker/?*", "--include=./var"]
    without = [f"--exclude=./{path}/?*" for path in ("var", "srv/data", "var/lib/docker")]
    assert argvs["root"][:3] == without
    paths = {entry.path for entry in customise(config, "raw", image).entries}
    assert {"/srv/data", "/var/lib/layers/root/upper", "/etc/ssh/sshd_config.d/10-host-keys.conf"} <= paths


def test_volume_groups_grow_by_a_unit_each(checkout: Path) -> None:
    groups = [
        {"name": "a.b", "volumes": [{"name": "var", "path": "/var"}]},
        {"name": "c", "volumes": [{"name": "x", "path": "/srv/x", "size": "8 MiB"}]},
    ]
    disks = [{"name": name, "size": "1 GiB", "volume_group": group} for name, group in (("d", "a.b"), ("e", "c"))]
    wanted = {"size": "2 GiB", "disks": disks, "volume_groups": groups, "read_only": True}
    found = made(checkout, disk=wanted, kernel_args=["quiet"])
    entries = {entry.path: entry for entry in found.entries}
    assert {"/srv/x", "/usr/libexec/grow-volume-group", "/etc/lvm/lvmlocal.conf"} <= entries.keys()
    assert entries["/usr/libexec/grow-volume-group"].mode == 0o755
    enabled = {unit.unit for unit in found.units if unit.state == "enabled"}
    assert {"volume-group-a.b.service", "volume-group-c.service"} <= enabled
    texts = []
    for name in ("a.b", "c"):
        make = entries[f"/etc/systemd/system/volume-group-{name}.service"].make
        assert make is not None
        make(checkout / "unit")
        texts.append((checkout / "unit").read_text(encoding="utf-8"))
    assert "ExecStart=/usr/libexec/grow-volume-group a.b var\n" in texts[0]
    assert "ExecStart=/usr/libexec/grow-volume-group c\n" in texts[1]
    config = load_config(checkout)
    assert "lvm2" in filesystem_needs(config, config.image("raw")).packages


SCHEMA = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "users": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/user"}]}},
        "level": {"enum": ["high", "low"]},
    },
    "$defs": {"user": {"type": "object", "additionalProperties": False, "properties": {"sudo": {"type": "string"}}}},
}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("users:\n  - sudoo: x\n", "f.yaml:9: key 'users.0.sudoo' of user data: unknown key, did you mean 'sudo'"),
        ("level: hihg\n", "f.yaml:8: key 'level' of user data: unknown value 'hihg', did you mean 'high'"),
        ("users: 3\n", "f.yaml:8: key 'users' of user data: 3 is not of type 'array'"),
        ("user: []\n", "f.yaml:8: key 'user' of user data: unknown key, did you mean 'users'"),
    ],
)
def test_user_data_against_a_schema(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / clouddata.USER_DATA).write_text(json.dumps(SCHEMA))
    place = Text(text=f"#cloud-config\n{text}", name="f.yaml", line=7)
    with pytest.raises(ConfigError) as caught:
        clouddata._check_user_data(place, tmp_path)
    assert said in str(caught.value)


def test_the_digest_of_an_archive_is_that_of_what_decides_on_it(checkout: Path, tmp_path: Path) -> None:
    path = archive(tmp_path, "one", LAYER)
    shutil.copy(path, checkout / "build" / "one.tar")
    found = made(checkout, containers=[{"archive": "one.tar"}])
    entry = next(entry for entry in found.entries if entry.path.endswith(".oci.tar"))
    assert entry.sha256 == hashlib.sha256(containers.merged_index(read(path))).hexdigest()
    assert [unit.unit for unit in found.units] == ["preload.service"]
