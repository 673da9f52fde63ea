"""Configuration: what is read, and what a mistake prints."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from photonbuild.cli.main import main
from photonbuild.config import load as config
from photonbuild.errors import ConfigError
from photonbuild.pipeline.configuration import SCHEMAS, load_config, schema
from photonbuild.roots import Roots

ROOT = Path(__file__).resolve().parents[3]
DIGEST = "0" * 128


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the real configuration that a test may damage; no user's file."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    root = tmp_path / "checkout"
    shutil.copytree(ROOT / "build", root / "build", ignore=shutil.ignore_patterns("kernel", "*.lock"))
    return root


def edit(path: Path, old: str, new: str) -> int:
    """Replace `old` once; returns the number of its line."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return text[: text.index(old)].count("\n") + 1


def error(call: Callable[[], object]) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        call()
    assert caught.value.exit_code == 2
    return caught.value


def test_the_real_configuration_loads(checkout: Path) -> None:
    loaded = load_config(checkout)
    assert loaded.distribution.prefix == "phos-1.0-x86_64"
    assert "gcc" in loaded.seeds.build_capabilities
    assert loaded.image("iso").profile == "default"
    assert loaded.seed_lock("machine") == checkout / "build/machine.lock"


def test_extends_merges_parents_first_without_duplicates(checkout: Path) -> None:
    loaded = load_config(checkout)
    base, default = loaded.profile("base"), loaded.profile("default")
    assert default.first == base.first
    assert default.packages[: len(base.packages)] == base.packages
    assert len(set(default.packages)) == len(default.packages) > len(base.packages)


def test_misspelt_key(checkout: Path) -> None:
    line = edit(checkout / "build/profiles/base.yaml", "packages:", "pakages:")
    caught = error(lambda: load_config(checkout))
    assert caught.where == f"build/profiles/base.yaml:{line}"
    assert caught.message == "unknown key 'pakages', did you mean 'packages'"


def test_misspelt_key_in_a_nested_mapping(checkout: Path) -> None:
    line = edit(checkout / "build/seed.yaml", "  go_toolchain:", "  go_toolchian:")
    caught = error(lambda: load_config(checkout))
    assert caught.where == f"build/seed.yaml:{line}"
    assert "unknown key 'go_toolchian', did you mean 'go_toolchain'" in caught.message


def test_wrong_type(checkout: Path) -> None:
    line = edit(checkout / "build/distribution.yaml", 'version: "1.0"', "version: 1.0")
    caught = error(lambda: load_config(checkout))
    assert caught.where == f"build/distribution.yaml:{line}"
    assert caught.message == "key 'version': should be a valid string"


def test_misspelt_value(checkout: Path) -> None:
    line = edit(checkout / "build/distribution.yaml", "arch: x86_64", "arch: x86-64")
    caught = error(lambda: load_config(checkout))
    assert caught.where == f"build/distribution.yaml:{line}"
    assert caught.message == "key 'arch': unknown value 'x86-64', did you mean 'x86_64' (one of: x86_64)"


def test_all_mistakes_of_a_file_at_once(checkout: Path) -> None:
    path = checkout / "build/distribution.yaml"
    edit(path, "vendor:", "vendr:")
    edit(path, "source_date_epoch: 1767225600", "source_date_epoch: tomorrow")
    caught = error(lambda: load_config(checkout))
    assert caught.where == "build/distribution.yaml"
    assert caught.detail is not None
    assert [line.split(": ", 1)[1] for line in caught.detail.splitlines()] == [
        "key 'vendor' is missing",
        "unknown key 'vendr', did you mean 'vendor'",
        "key 'source_date_epoch': should be a valid integer",
    ]


def test_key_set_twice(checkout: Path) -> None:
    path = checkout / "build/profiles/base.yaml"
    path.write_text(path.read_text() + "name: again\n")
    caught = error(lambda: load_config(checkout))
    assert caught.message == "key 'name' is already set in line 1"


def test_missing_file_names_the_nearest(checkout: Path) -> None:
    (checkout / "build/seed.yaml").rename(checkout / "build/seeds.yaml")
    caught = error(lambda: load_config(checkout))
    assert (caught.where, caught.message) == ("build/seed.yaml", "file not found, did you mean 'seeds.yaml'")


def test_not_yaml(checkout: Path) -> None:
    (checkout / "build/runtimes.yaml").write_text("runtimes:\n  - name: [docker\n")
    caught = error(lambda: load_config(checkout))
    assert caught.where is not None and caught.where.startswith("build/runtimes.yaml:")
    assert caught.message.startswith("not valid YAML: ")


def test_unknown_and_circular_extends(checkout: Path) -> None:
    path = checkout / "build/profiles/default.yaml"
    line = edit(path, "extends: base", "extends: bsae")
    caught = error(lambda: load_config(checkout))
    assert caught.where == f"build/profiles/default.yaml:{line}"
    assert caught.message == "unknown profile 'bsae', did you mean 'base'"
    edit(path, "extends: bsae", "extends: default")
    assert "default extends default" in error(lambda: load_config(checkout)).message


def test_unknown_profile_of_an_image(checkout: Path) -> None:
    line = edit(checkout / "build/images/iso.yaml", "profile: default", "profile: defualt")
    caught = error(lambda: load_config(checkout))
    assert (caught.where, caught.message) == (
        f"build/images/iso.yaml:{line}",
        "unknown profile 'defualt', did you mean 'default'",
    )


def test_user_file_and_command_line(checkout: Path, tmp_path: Path) -> None:
    folder = tmp_path / "xdg"
    folder.mkdir()
    (folder / "photonbuild.yaml").write_text("jobs: 3\nauthorized_keys: [ssh-ed25519 A]\nstore: /var/store\n")
    loaded = load_config(checkout)
    assert (loaded.user.jobs, loaded.user.store_path) == (3, Path("/var/store"))
    changed = loaded.override(jobs=5, authorized_keys=["ssh-ed25519 B"])
    assert changed.user.jobs == 5
    assert changed.user.authorized_keys == ("ssh-ed25519 A", "ssh-ed25519 B")
    assert changed.user.store == "/var/store"
    error(lambda: loaded.override(jobs=0))


def test_named_user_file_must_exist(checkout: Path, tmp_path: Path) -> None:
    assert error(lambda: load_config(checkout, user_file=tmp_path / "no.yaml")).message == "file not found"


def test_no_checkout(tmp_path: Path) -> None:
    assert "no 'build' folder" in error(lambda: load_config(tmp_path)).message


def write_sources(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sources.yaml").write_text(text)
    return folder


def test_sources(tmp_path: Path) -> None:
    (tmp_path / "base.fragment").write_text("CONFIG_A=y\n")
    spec = write_sources(
        tmp_path / "specs" / "a",
        f"sources:\n  - file: a.tar.gz\n    sha512: {DIGEST}\n    size: 12\n    providers:\n"
        "      - type: deb-src\n        path: pool/main/a/a.tar.gz\n      - type: go-module\n"
        "    upstream: https://a.example/\nlocal: [../../base.fragment]\n",
    )
    loaded = config.load_sources(spec)
    assert [provider.type for provider in loaded.sources[0].providers] == ["deb-src", "go-module"]
    assert loaded.local == ("../../base.fragment",)
    assert config.load_sources(tmp_path / "specs" / "none").sources == ()


@pytest.mark.parametrize(
    ("provider", "line", "message"),
    [
        ("type: deb-srk", 6, "unknown value 'deb-srk', did you mean 'deb-src'"),
        ("type: deb-src\n        pth: pool/x", 7, "unknown key 'pth', did you mean 'path'"),
        ("path: pool/x", 6, "key 'type' is missing"),
    ],
)
def test_mistakes_in_providers(tmp_path: Path, provider: str, line: int, message: str) -> None:
    spec = write_sources(
        tmp_path / "specs" / "a",
        f"sources:\n  - file: a.tar.gz\n    sha512: {DIGEST}\n    size: 12\n    providers:\n      - {provider}\n",
    )
    caught = error(lambda: config.load_sources(spec, roots=Roots.of(tmp_path)))
    text = caught.detail or f"{caught.where}: {caught.message}"
    assert any(row.startswith(f"specs/a/sources.yaml:{line}: ") and message in row for row in text.splitlines()), text


def test_missing_local_file(tmp_path: Path) -> None:
    (tmp_path / "base.fragment").touch()
    spec = write_sources(tmp_path / "specs" / "a", "local:\n  - ../../bas.fragment\n")
    caught = error(lambda: config.load_sources(spec, roots=Roots.of(tmp_path)))
    assert caught.where == "specs/a/sources.yaml:2"
    assert "did you mean 'base.fragment'" in caught.message


@pytest.mark.parametrize(
    ("local", "line", "message"),
    [
        ("- ../../../secret", 2, "local file '../../../secret': outside checkout/"),
        ("- /etc/shadow", 2, "local file '/etc/shadow': outside checkout/"),
        ("- link", 2, "local file 'link': symbolic link to a place outside checkout/: ../../../secret"),
        ("- dangling", 2, "local file 'dangling': symbolic link to nothing: missing"),
        ("- ../../src", 2, "local file '../../src' is a folder"),
        ("- {tar: a.tar, folder: ../../scr}", 2, "local folder '../../scr' not found, did you mean 'src'"),
        ("- {tar: a.tar, folder: ../../src/main.go}", 2, "local folder '../../src/main.go' is a file"),
        ("- {tar: a.tar, folder: ../../..}", 2, "local folder '../../..': outside checkout/"),
        (
            "- tar: a.tar\n    folder: ../../src\n    parts:\n    - main.goo",
            5,
            "part 'main.goo' not found, did you mean",
        ),
        ("- tar: a.tar\n    folder: ../../src\n    parts:\n    - ../b", 5, "'../b' is no plain path below the folder"),
        ("- tar: a.tar\n    folder: ../../src\n    parts:\n    - /b", 5, "'/b' is no plain path below the folder"),
        ("- tar: a.tar\n    folder: ../../src\n    part: [b]", 4, "unknown key 'part', did you mean 'parts'"),
        ("- tar: a/b.tar\n    folder: ../../src", 2, "local.0.packed.tar"),
        ("- {tar: a.tar}", 2, "key 'folder' is missing"),
        (
            "- {tar: a.tar, folder: ../../src}\nsources:\n- file: v\n  providers:\n  - type: go-module\n    tar: b.tar",
            7,
            "'local' lists no tar 'b.tar', did you mean 'a.tar'",
        ),
    ],
)
def test_mistakes_in_local(tmp_path: Path, local: str, line: int, message: str) -> None:
    root = tmp_path / "checkout"
    (root / "src").mkdir(parents=True)
    (root / "src" / "main.go").touch()
    (tmp_path / "secret").touch()
    spec = write_sources(root / "specs" / "a", f"local:\n  {local}\n".replace("local:\n  - {", "local:\n- {"))
    (spec / "link").symlink_to("../../../secret")
    (spec / "dangling").symlink_to("missing")
    caught = error(lambda: config.load_sources(spec, roots=Roots.of(root)))
    assert caught.where == f"specs/a/sources.yaml:{line}"
    assert message in caught.message


def test_schemas() -> None:
    for kind in SCHEMAS:
        assert schema(kind)["additionalProperties"] is False
    done = CliRunner().invoke(main, ["schema", "profil"])
    assert done.exit_code == 2
    assert "unknown schema 'profil', did you mean 'profile'" in done.stderr and "qcow2-image" in done.stderr


IMAGE = "build/images/qcow2.yaml"


def add(checkout: Path, text: str) -> int:
    """Put `text` before the key files of an image; returns the number of its first line."""
    return edit(checkout / IMAGE, "files:\n", f"{text}files:\n")


def test_an_image_sets_files_services_and_packages(checkout: Path) -> None:
    add(checkout, "packages: [tar]\nservices:\n  sshd.service: disabled\n")
    image = load_config(checkout).image("qcow2")
    assert image.packages == ("tar",) and image.services == {"sshd.service": "disabled"}
    assert image.platform == "nocloud"
    [(file, text)] = load_config(checkout).image_files("qcow2")
    assert (file.path, file.mode) == ("/etc/cloud/cloud.cfg.d/90_datasource.cfg", "0644")
    assert "NoCloud" in text


def test_a_source_file_of_an_image(checkout: Path) -> None:
    (checkout / "build/motd.txt").write_text("hello\n")
    line = edit(checkout / IMAGE, "files:\n", "files:\n  - path: /etc/motd\n    source: motd.txt\n    mode: 0600\n")
    (file, text), *_ = load_config(checkout).image_files("qcow2")
    assert (file.mode, text) == ("0600", "hello\n")
    edit(checkout / IMAGE, "motd.txt", "modt.txt")
    caught = error(lambda: load_config(checkout).image_files("qcow2"))
    assert caught.where == f"{IMAGE}:{line + 2}"
    assert str(caught.message) == "no file 'build/modt.txt', did you mean 'motd.txt'"
    (checkout / "build/modt.txt").mkdir()
    assert "cannot be read" in error(lambda: load_config(checkout).image_files("qcow2")).message


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("services:\n  sshd.service: enable\n", 1, "unknown value 'enable', did you mean 'enabled'"),
        ("services:\n  sshd: enabled\n", 1, "'sshd' is no name of a unit"),
        ("platform: nocluod\n", 0, "unknown value 'nocluod', did you mean 'nocloud'"),
        ("pakages: [tar]\n", 0, "unknown key 'pakages', did you mean 'packages'"),
    ],
)
def test_mistakes_in_an_image(checkout: Path, text: str, offset: int, message: str) -> None:
    if text.startswith("platform"):
        edit(checkout / IMAGE, "platform: nocloud\n", "")
    line = add(checkout, text)
    caught = error(lambda: load_config(checkout))
    assert caught.where == f"{IMAGE}:{line + offset}" and message in caught.message


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("path: etc/x, text: a", "'etc/x' is no plain absolute path"),
        ("path: /etc/../x, text: a", "'/etc/../x' is no plain absolute path"),
        ("path: /etc/x", "a file has either 'text' or 'source'"),
        ("path: /etc/x, text: a, source: b", "a file has either 'text' or 'source'"),
        ("path: /etc/x, text: a, mode: 644", "key 'files.0.mode'"),
        ("path: /etc/x, text: a, ownr: me", "unknown key 'ownr', did you mean 'owner'"),
    ],
)
def test_mistakes_in_a_file_of_an_image(checkout: Path, file: str, message: str) -> None:
    line = edit(checkout / IMAGE, "files:\n", f"files:\n  - {{{file}}}\n")
    caught = error(lambda: load_config(checkout))
    assert caught.where == f"{IMAGE}:{line + 1}" and message in caught.message


def test_a_file_set_twice(checkout: Path) -> None:
    path = "/etc/cloud/cloud.cfg.d/90_datasource.cfg"
    line = edit(checkout / IMAGE, "files:\n", f"files:\n  - {{path: {path}, text: a}}\n")
    caught = error(lambda: load_config(checkout))
    assert caught.message == f"file '{path}' is already set in line {line + 1}"


def test_services_where_nothing_boots(checkout: Path) -> None:
    edit(checkout / "build/images/oci.yaml", "format: oci\n", "format: oci\nservices: {sshd.service: enabled}\n")
    assert "does not boot" in error(lambda: load_config(checkout)).message
