"""Local sources: files as they are, folders as one tar whose bytes depend only on names, execute bits and contents."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

import pytest

from photonbuild import pack
from photonbuild.config.sources import LocalTar, SourcesFile
from photonbuild.errors import SpecError
from photonbuild.sources.local import LocalSource, local_sources, local_tar


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """specs/tool of a checkout with the source of two programs that share a package, which is reached by a link."""
    checkout = tmp_path / "checkout"
    for name, text in {
        "specs/tool/tool.spec": "Name: tool\n",
        "specs/tool/sources.yaml": "",
        "build/base.fragment": "CONFIG_X=y\n",
        "src/go.mod": "module m\n",
        "src/main_test.go": "package main\n",
        "src/cmd/one/main.go": "package main\n",
        "src/cmd/one/run.sh": "#!/bin/sh\n",
        "src/cmd/one/testdata/big": "data\n",
        "src/cmd/two/main.go": "package main\n",
        "src/cmd/two/main_test.go": "package main\n",
        "src/vendor/left.go": "",
        "shared/vendor/shared.go": "package vendor\n",
        "shared/test_shared.c": "int main(void) {}\n",
    }.items():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text(text)
    (checkout / "src" / "cmd" / "one" / "run.sh").chmod(0o700)
    (checkout / "src" / "kit").symlink_to("../shared")
    (tmp_path / "secret").write_text("of the host\n")
    return checkout / "specs" / "tool"


ALL = LocalTar(tar="tool.tar", folder="../../src")


def source(folder: Path, item: str | LocalTar = ALL) -> LocalSource:
    return local_sources(folder, SourcesFile(local=(item,)))[-1]


def two(folder: Path, *parts: str) -> LocalSource:
    return source(folder, LocalTar(tar="two.tar", folder="../../src", parts=parts))


def test_names(folder: Path) -> None:
    found = local_sources(folder, SourcesFile(local=("../../build/base.fragment", ALL)))
    assert [local.name for local in found] == ["tool.spec", "base.fragment", "tool.tar"]
    assert found[-1] == local_tar(folder, SourcesFile(local=(ALL,)), "tool.tar")


def test_a_folder_becomes_a_normalised_tar(folder: Path, tmp_path: Path) -> None:
    source(folder).write(tmp_path / "one.tar")
    main = folder / "../../src/cmd/one/main.go"
    main.chmod(0o600)
    main.touch()
    source(folder).write(tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as tar:
        members = tar.getmembers()
        shared = tar.extractfile("tool/kit/vendor/shared.go")
        assert shared is not None and shared.read() == b"package vendor\n"
    assert [(m.name, m.mode) for m in members] == [
        ("tool/cmd/one/main.go", 0o644),
        ("tool/cmd/one/run.sh", 0o755),
        ("tool/cmd/two/main.go", 0o644),
        ("tool/go.mod", 0o644),
        ("tool/kit/vendor/shared.go", 0o644),
    ]
    assert all(m.isreg() and (m.uid, m.gid, m.uname, m.mtime) == (0, 0, "", pack.MTIME) for m in members)


def test_the_bytes_of_a_tar_stay_what_they_are(tmp_path: Path) -> None:
    """Of the same files: a change here would build every package again that is made of such a tar."""
    (tmp_path / "a").write_text("a\n")
    pack.write_tar([("x/a", tmp_path / "a")], "top", tmp_path / "a.tar")
    digest = hashlib.sha256((tmp_path / "a.tar").read_bytes()).hexdigest()
    assert digest == "13d85207f35ae75904a0f90b23b3286d0e286aa63d20b615e11f0f87717df8b6"


def test_parts(folder: Path) -> None:
    names = [name for name, _ in two(folder, "kit", "go.mod", "cmd/two").members()]
    assert names == ["cmd/two/main.go", "go.mod", "kit/vendor/shared.go"]


@pytest.mark.parametrize("part", ["cmd/tw", "cmd/one/testdata", "main_test.go", "vendor"])
def test_a_part_with_nothing_in_it(folder: Path, part: str) -> None:
    with pytest.raises(SpecError, match=r"nothing to pack into two\.tar") as caught:
        two(folder, "go.mod", part).digest()
    assert caught.value.where == f"src/{part}"


def test_the_digest_sees_names_contents_and_execute_bits(folder: Path) -> None:
    one = folder / "../../src/cmd/one"
    digests = [source(folder).digest()]
    (one / "run.sh").chmod(0o644)
    digests.append(source(folder).digest())
    (one / "main.go").write_text("package other\n")
    digests.append(source(folder).digest())
    (one / "main.go").rename(one / "new.go")
    digests.append(source(folder).digest())
    assert len(set(digests)) == 4


@pytest.mark.parametrize(
    ("changed", "one", "both"),
    [
        ("src/cmd/one/main.go", True, False),
        ("shared/vendor/shared.go", True, True),
        ("src/cmd/one/testdata/big", False, False),
        ("src/cmd/one/new_test.go", False, False),
        ("shared/test_shared.c", False, False),
        ("src/vendor/left.go", False, False),
    ],
)
def test_what_a_change_builds_again(folder: Path, changed: str, one: bool, both: bool) -> None:
    def digests() -> list[str]:
        return [two(folder, "go.mod", "kit", program).digest() for program in ("cmd/one", "cmd/two")]

    before = digests()
    (folder.parents[1] / changed).write_text("changed\n")
    assert [old != new for old, new in zip(before, digests(), strict=True)] == [one, both]


LINKS = [
    ("missing", "symbolic link to nothing: missing"),
    ("/etc/hostname", "symbolic link to a place outside checkout/: /etc/hostname"),
    ("../../../secret", "to a place outside checkout/"),
]


@pytest.mark.parametrize(("target", "message"), [*LINKS, ("..", "to a folder that holds it")])
@pytest.mark.parametrize("parts", [(), ("kit", "bad")])
def test_links_in_a_folder_that_lead_astray(folder: Path, target: str, message: str, parts: tuple[str, ...]) -> None:
    bad = folder / "../../src/bad"
    bad.symlink_to(target.replace("../../../", "../../"))
    with pytest.raises(SpecError, match=message.replace("../../../", "../../")):
        two(folder, *parts).digest()


@pytest.mark.parametrize(("target", "message"), LINKS)
def test_links_beside_a_spec_that_lead_astray(folder: Path, tmp_path: Path, target: str, message: str) -> None:
    (folder / "tool.conf").symlink_to(target)
    (conf,) = (local for local in local_sources(folder, SourcesFile()) if local.name == "tool.conf")
    for attempt in (conf.digest, lambda: conf.write(tmp_path / "written")):
        with pytest.raises(SpecError, match=message) as caught:
            attempt()
        assert caught.value.where == "specs/tool/tool.conf"
    assert not (tmp_path / "written").exists()


def test_a_link_to_another_file_of_the_checkout(folder: Path, tmp_path: Path) -> None:
    (folder / "tool.conf").symlink_to("../../build/base.fragment")
    local_sources(folder, SourcesFile())[0].write(tmp_path / "written")
    assert (tmp_path / "written").read_text() == "CONFIG_X=y\n"
    assert not (tmp_path / "written").is_symlink()


@pytest.mark.parametrize("item", ["../../../secret", LocalTar(tar="host.tar", folder="../../..")])
def test_places_outside_the_checkout(folder: Path, item: str | LocalTar) -> None:
    with pytest.raises(SpecError, match="outside checkout/"):
        source(folder, item).digest()


def test_a_folder_beside_a_spec_is_not_left_out_unnoticed(folder: Path) -> None:
    (folder / "code").mkdir()
    with pytest.raises(SpecError) as caught:
        local_sources(folder, SourcesFile())
    assert caught.value.where == "specs/tool/code"
    assert "local: [{tar: code.tar, folder: code}]" in str(caught.value.hint)
    local_sources(folder, SourcesFile(local=(LocalTar(tar="code.tar", folder="code"),)))


def test_the_mode_of_a_file_counts(folder: Path) -> None:
    script = folder / "check.sh"
    script.write_text("true\n")
    script.chmod(0o644)
    (local,) = (local for local in local_sources(folder, SourcesFile()) if local.name == "check.sh")
    before = local.digest()
    script.chmod(0o755)
    assert before.startswith("0644 ") and local.digest() == before.replace("0644", "0755")
