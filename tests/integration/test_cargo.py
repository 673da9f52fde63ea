"""Crates of a registry of our own, vendored and built: the seed's cargo and rustc, the real rpmbuild."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from photonbuild.files import sha512_of
from photonbuild.log import Reporter
from photonbuild.pipeline.configuration import load_config
from photonbuild.pipeline.session import Session
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.sources.mirrors import cargo_configuration
from photonbuild.store import Store
from tests.integration.conftest import Checkout
from tests.support.crates import Crate, Registry, registry

CRATES = (
    Crate(
        name="tiny",
        manifest='[lib]\nname = "tiny"\ncrate-type = ["cdylib"]\n',
        files={"src/lib.rs": '#[no_mangle]\npub extern "C" fn answer() -> i32 { addition::add(40, 2) }\n'},
        needs={"addition": "", "elsewhere": "cfg(windows)"},
    ),
    Crate(name="addition", files={"src/lib.rs": "pub fn add(a: i32, b: i32) -> i32 { a + b }\n", "run.sh": "true\n"}),
    Crate(
        name="elsewhere",
        manifest='build = "build.rs"\n[[bin]]\nname = "program"\npath = "src/program.rs"\n',
        files={"src/lib.rs": "pub fn f() {}\n", "src/program.rs": "fn main() {}\n", "build.rs": "fn main() {}\n"},
        needs={"deeper": ""},
    ),
    Crate(name="deeper", files={"src/lib.rs": "pub fn g() {}\n"}),
)
MANIFEST = """\
[package]
name = "vendored"
version = "0.0.0"
edition = "2021"

[dependencies]
tiny = "=1.0.0"
"""
SOURCES = "sources:\n  - file: tiny-vendor.tar\n    providers:\n      - type: cargo\n"
SPEC = """\
%global debug_package %{nil}
Name:           tiny
Version:        1.0.0
Release:        1
Summary:        Test
License:        MIT
Source0:        tiny-vendor.tar
BuildRequires:  cargo
BuildRequires:  rustc
%description
Test.
%prep
%autosetup -n tiny-vendor
%build
CARGO_HOME=%{_builddir}/.cargo CARGO_TARGET_DIR=$PWD/target cargo build --frozen --release --package tiny
%install
install -D -m 0755 target/release/libtiny.so %{buildroot}%{_libdir}/libtiny.so
%check
python3 -c 'import ctypes; assert ctypes.CDLL("target/release/libtiny.so").answer() == 42'
%files
%{_libdir}/libtiny.so
"""


@pytest.fixture
def served() -> Iterator[Registry]:
    with registry(CRATES) as found:
        yield found


def use(checkout: Checkout, served: Registry) -> None:
    (checkout.root / "user.yaml").write_text(f"mirrors: {{cargo: '{served.index}'}}\n", encoding="utf-8")


@pytest.fixture
def tiny(checkout: Checkout, served: Registry, tmp_path: Path) -> Path:
    """The folder of a spec whose crates are locked by the seed's own cargo."""
    folder = checkout.root / "specs" / "tiny"
    folder.mkdir()
    for name, text in {"tiny.spec": SPEC, "sources.yaml": SOURCES, "Cargo.toml": MANIFEST}.items():
        (folder / name).write_text(text, encoding="utf-8")
    use(checkout, served)
    work = tmp_path / "work"
    (work / "src").mkdir(parents=True)
    (work / ".cargo").mkdir()
    (work / "src" / "lib.rs").touch()
    (work / "Cargo.toml").write_text(MANIFEST, encoding="utf-8")
    config = load_config(checkout.root, user_file=checkout.root / "user.yaml")
    (work / ".cargo" / "config.toml").write_text(cargo_configuration(config.user.mirrors), encoding="utf-8")
    session = Session(config=config, store=Store.open(checkout.store), reporter=Reporter())
    sandbox = Sandbox(
        layers=session.seed_roots("cargo"),
        scratch=session.store.scratch,
        binds=[Bind(work, "/work", readonly=False)],
        network=True,
        env={"HOME": "/tmp"},
    )
    sandbox.run(["cargo", "generate-lockfile"], cwd="/work")
    (folder / "Cargo.lock").write_bytes((work / "Cargo.lock").read_bytes())
    return folder


def vendored(checkout: Checkout) -> Path:
    (path,) = (checkout.store / "sources").iterdir()
    return path


def test_vendored_locked_and_built(checkout: Checkout, tiny: Path, served: Registry) -> None:
    assert "locked anew" in checkout.run("sources", "lock", "tiny").stdout
    with tarfile.open(vendored(checkout)) as tar:
        members = {member.name.removeprefix("tiny-vendor/"): member for member in tar.getmembers()}
        texts = [tar.extractfile(member) for member in members.values()]
        assert not any(file is not None and str(served.port).encode() in file.read() for file in texts)
    assert list(members) == sorted(members) and all(member.isreg() for member in members.values())
    assert {(m.uid, m.gid, m.uname, m.mode) for m in members.values()} == {(0, 0, "", 0o644)}
    assert members["Cargo.lock"].size == (tiny / "Cargo.lock").stat().st_size
    assert members["vendor/addition-1.0.0/run.sh"].size
    # For another platform: the manifest alone, and empty files where cargo looks for some.
    assert {name: member.size > 0 for name, member in members.items() if "/elsewhere-" in name} == {
        "vendor/elsewhere-1.0.0/.cargo-checksum.json": True,
        "vendor/elsewhere-1.0.0/Cargo.toml": True,
        "vendor/elsewhere-1.0.0/src/lib.rs": False,
        "vendor/elsewhere-1.0.0/src/program.rs": False,
    }
    built = checkout.run("build", "tiny")
    assert "tiny-1.0.0-1.x86_64.rpm" in built.stdout
    assert checkout.leftovers() == []


def test_the_same_bytes_from_elsewhere(checkout: Checkout, tiny: Path, served: Registry) -> None:
    checkout.run("sources", "lock", "tiny")
    first = vendored(checkout)
    first.unlink()
    with registry(CRATES) as other:
        use(checkout, other)
        before = list(served.asked)
        checkout.run("sources", "fetch", "tiny")
        assert served.asked == before and "/files/addition-1.0.0" in other.asked
    assert sha512_of(vendored(checkout)) == first.name


def test_the_hosts_own_configuration(
    checkout: Checkout, tiny: Path, served: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it says to fetch; not what else it says: a wrapper that is not there would be run."""
    (checkout.root / "user.yaml").write_text("{}\n", encoding="utf-8")
    (tmp_path / "cargo").mkdir()
    (tmp_path / "cargo" / "config.toml").write_text(
        '[build]\nrustc-wrapper = "/nowhere"\n[source.crates-io]\nreplace-with = "of-the-host"\n'
        f'[source.of-the-host]\nregistry = "{served.index}"\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "cargo"))
    served.asked.clear()
    checkout.run("sources", "lock", "tiny")
    assert "/files/addition-1.0.0" in served.asked


def test_a_crate_that_is_not_the_locked_one(checkout: Checkout, tiny: Path, served: Registry) -> None:
    checkout.run("sources", "lock", "tiny")
    vendored(checkout).unlink()
    served.files["/files/addition-1.0.0"] = Crate(name="addition", files={"src/lib.rs": "pub fn bad() {}\n"}).archive
    failed = checkout.run("sources", "fetch", "tiny", code=4)
    assert "no provider yields tiny-vendor.tar" in failed.stderr
    assert "failed to verify the checksum of `addition v1.0.0" in failed.stderr
    assert list((checkout.store / "sources").iterdir()) == [] and checkout.leftovers() == []


def test_an_index_that_says_otherwise_than_the_lock(checkout: Checkout, tiny: Path, served: Registry) -> None:
    checkout.run("sources", "lock", "tiny")
    vendored(checkout).unlink()
    with registry([Crate(name=c.name, files=c.files, needs=c.needs, manifest="# other\n") for c in CRATES]) as other:
        use(checkout, other)
        failed = checkout.run("sources", "fetch", "tiny", code=4)
    assert "checksum for `" in failed.stderr and "changed between lock files" in failed.stderr


@pytest.mark.long
def test_no_registry(checkout: Checkout, tiny: Path) -> None:
    (checkout.root / "user.yaml").write_text("mirrors: {cargo: 'sparse+http://127.0.0.1:1/'}\n", encoding="utf-8")
    failed = checkout.run("sources", "lock", "tiny", code=4)
    assert "cargo vendor failed" in failed.stderr and "127.0.0.1" in failed.stderr


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('source = "registry+', 'source = "git+', "Cargo.lock"),
        ('name = "tiny"\n', 'name = "tinier"\n', "lock file"),
    ],
)
def test_a_lock_that_does_not_do(checkout: Checkout, tiny: Path, old: str, new: str, message: str) -> None:
    text = (tiny / "Cargo.lock").read_text(encoding="utf-8")
    assert old in text
    (tiny / "Cargo.lock").write_text(text.replace(old, new), encoding="utf-8")
    failed = checkout.run("sources", "lock", "tiny", code=4)
    assert message in failed.stderr
