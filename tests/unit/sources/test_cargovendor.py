"""Vendoring of crates: what is kept of which, and when it is refused. `cargo` and `rustc` are fakes on PATH.

The real ones: tests/integration/test_cargo.py.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest

from photonbuild.sources.inside import cargovendor

CARGO = """#!/bin/sh
case "$1" in
vendor) {vendor}
  for name in used-1.0.0 unused-2.0.0; do
    mkdir -p vendor/$name/src/deep; echo code > vendor/$name/src/lib.rs; echo more > vendor/$name/src/deep/x.rs
    echo '{{"files":{{"src/lib.rs":"0"}},"package":"abc"}}' > vendor/$name/.cargo-checksum.json
    printf '[package]\\nname = "%s"\\nversion = "%s"\\n{tables}' ${{name%-*}} ${{name#*-}} > vendor/$name/Cargo.toml
  done;;
metadata) [ "$5" = --filter-platform=a-platform ] || exit 9
  {metadata}
  cat <<'END'
{{"packages": [{{"id": "u", "name": "used", "version": "1.0.0"}}, {{"id": "v", "name": "unused", "version": "2.0.0"}}],
 "resolve": {{"nodes": [{{"id": "u"}}]}}}}
END
esac
"""
LOCK = """\
version = 4
[[package]]
name = "vendored"
version = "0.0.0"
[[package]]
name = "used"
version = "1.0.0"
source = "registry+https://index.example/"
checksum = "00"
"""


def vendor(
    tmp: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    vendor: str = "",
    tables: str = "",
    metadata: str = "",
    lock: str = LOCK,
) -> tuple[int, Path]:
    for folder in ("bin", "crate"):
        (tmp / folder).mkdir(parents=True, exist_ok=True)
    fakes = {
        "cargo": CARGO.format(vendor=vendor, tables=tables, metadata=metadata),
        "rustc": "#!/bin/sh\necho rustc 1\necho host: a-platform\n",
    }
    for name, text in fakes.items():
        (tmp / "bin" / name).write_text(text)
        (tmp / "bin" / name).chmod(0o755)
    (tmp / "crate" / "Cargo.toml").write_text("[package]\n")
    (tmp / "crate" / "Cargo.lock").write_text(lock)
    monkeypatch.setenv("PATH", f"{tmp / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr("sys.stdin", io.StringIO("[net]\nretry = 1\n"))
    return cargovendor.main(["cargovendor.py", str(tmp / "crate"), str(tmp / "out")]), tmp / "out"


def test_sources_of_what_is_used_and_manifests_of_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = '[lib]\\npath = "src/deep/x.rs"\\n[[bin]]\\nname = "b"\\npath = "b.rs"\\n'
    status, out = vendor(tmp_path, monkeypatch, vendor="umask 077", tables=tables)
    assert status == 0
    assert {path.stat().st_mode & 0o777 for path in out.rglob("*")} == {0o755, 0o644}
    found = {str(path.relative_to(out)): path.read_text() for path in out.rglob("*") if path.is_file()}
    assert found["vendor/used-1.0.0/src/lib.rs"] == "code\n"
    stub = {name: text for name, text in found.items() if "unused" in name}
    assert set(stub) == {
        f"vendor/unused-2.0.0/{n}" for n in (".cargo-checksum.json", "Cargo.toml", "b.rs", "src/deep/x.rs")
    }
    assert stub["vendor/unused-2.0.0/src/deep/x.rs"] == stub["vendor/unused-2.0.0/b.rs"] == ""
    assert 'name = "unused"' in stub["vendor/unused-2.0.0/Cargo.toml"]
    assert json.loads(stub["vendor/unused-2.0.0/.cargo-checksum.json"]) == {"files": {}, "package": "abc"}
    assert found["Cargo.lock"] == LOCK and found["src/lib.rs"] == ""
    assert 'directory = "vendor"' in found[".cargo/config.toml"]


def test_the_configuration_goes_to_cargo_and_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, out = vendor(tmp_path, monkeypatch, vendor=f"cp $CARGO_HOME/config.toml {tmp_path}/seen")
    assert status == 0 and (tmp_path / "seen").read_text() == "[net]\nretry = 1\n"
    assert not any("retry" in path.read_text() for path in out.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vendor": "exit 101"}, "cargo vendor failed with exit status 101"),
        ({"metadata": "exit 101"}, "cargo metadata failed"),
        ({"vendor": "echo >> Cargo.lock"}, "wants to change Cargo.lock"),
        ({"metadata": "[ -e $CARGO_HOME ] || exit 1"}, "cargo metadata failed"),
        ({"lock": LOCK.replace('checksum = "00"\n', "")}, "used 1.0.0 comes from no registry"),
        ({"lock": LOCK + '[[package]]\nname = "own"\nversion = "1.0.0"\n'}, "path dependencies"),
        (
            {"lock": LOCK + LOCK[LOCK.index('[[package]]\nname = "used') :].replace("index", "x")},
            "more than one registry",
        ),
        ({"lock": "not a lock"}, "Expected '='"),
        ({"tables": '[lib]\\npath = "../../../../escaped"\\n'}, "has a target outside its folder"),
    ],
)
def test_failure_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, str],
    message: str,
) -> None:
    status, out = vendor(tmp_path, monkeypatch, **change)
    assert status == 1
    assert message in capsys.readouterr().err
    assert not out.exists() and not list(tmp_path.parent.rglob("escaped"))


def test_wrong_usage(tmp_path: Path) -> None:
    assert cargovendor.main(["cargovendor.py"]) == 2
    assert cargovendor.main(["cargovendor.py", str(tmp_path), str(tmp_path / "out")]) == 2
