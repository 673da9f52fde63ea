"""Vendoring of Go modules: same bytes from the same module, nothing of the host in them. `go` is a fake on PATH."""

from __future__ import annotations

import hashlib
import os
import tarfile
from pathlib import Path

import pytest

from photonbuild.sources.inside import govendor

GO = """#!/bin/sh
[ "$*" = "mod vendor" ] && [ "$GOENV" = off ] && [ "$GOTOOLCHAIN" = local ] && [ -z "$SECRET" ] || exit 9
umask {umask}
mkdir -p vendor/b vendor/a-b vendor/a
echo one > vendor/a/x.go; echo two > vendor/a-b/y.go; echo run > vendor/b/run.sh; chmod +x vendor/b/run.sh
ln -s ../a/x.go vendor/b/link
echo '# modules' > vendor/modules.txt
{extra}
"""


def vendor(tmp: Path, monkeypatch: pytest.MonkeyPatch, *, umask: str = "022", extra: str = "") -> tuple[int, Path]:
    for folder in ("bin", "module"):
        (tmp / folder).mkdir(parents=True, exist_ok=True)
    (tmp / "bin" / "go").write_text(GO.format(umask=umask, extra=extra))
    (tmp / "bin" / "go").chmod(0o755)
    (tmp / "module" / "go.mod").write_text("module m\n")
    (tmp / "module" / "go.sum").write_text("")
    monkeypatch.setenv("PATH", f"{tmp / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("SECRET", "of the host")
    output = tmp / "m-vendor.tar"
    return govendor.main(["govendor.py", str(tmp / "module"), "m-vendor", str(output)]), output


def test_content_order_and_attributes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, output = vendor(tmp_path, monkeypatch)
    assert status == 0
    with tarfile.open(output) as tar:
        members = tar.getmembers()
    assert [m.name.removeprefix("m-vendor") for m in members] == [
        "", "/go.mod", "/go.sum", "/vendor", "/vendor/a", "/vendor/a-b", "/vendor/a-b/y.go", "/vendor/a/x.go",
        "/vendor/b", "/vendor/b/link", "/vendor/b/run.sh", "/vendor/modules.txt",
    ]  # fmt: skip
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members} == {(0, 0, "", "", govendor.MTIME)}
    modes = {m.name.rpartition("/")[2]: m.mode for m in members}
    assert (modes["vendor"], modes["x.go"], modes["run.sh"], modes["link"]) == (0o755, 0o644, 0o755, 0o777)


def test_bytes_do_not_depend_on_place_or_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, one = vendor(tmp_path / "one", monkeypatch)
    _, two = vendor(tmp_path / "two", monkeypatch, umask="077")
    assert hashlib.sha512(one.read_bytes()).digest() == hashlib.sha512(two.read_bytes()).digest()


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("exit 1", "exit status 1"),
        ("echo 'm v1 h1:x' >> go.sum", "wants to change go.sum"),
        ("rm vendor/modules.txt", "no vendor/modules.txt"),
    ],
)
def test_failure_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    extra: str,
    message: str,
) -> None:
    status, output = vendor(tmp_path, monkeypatch, extra=extra)
    assert status == 1
    assert message in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(output.name)] == []


def test_wrong_usage(tmp_path: Path) -> None:
    assert govendor.main(["govendor.py"]) == 2
    assert govendor.main(["govendor.py", str(tmp_path), "p", "o.tar"]) == 2
