"""What our rpm makes of signatures, in a root of nothing but our packages. No machine is started.

The keys and packages are those of tests/data/signed; its make.sh says what each is.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.log import Reporter
from photonbuild.packages.built import tree_of
from photonbuild.packages.solve import solve
from photonbuild.pipeline.build import build_packages, profile_specs, repository
from photonbuild.pipeline.session import Session
from photonbuild.run import Completed
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.store import Store

pytestmark = pytest.mark.boot

DATA = Path(__file__).parents[1] / "data" / "signed"
PROGRAMS = ("rpm", "bash", "coreutils")
KEYS = ("known", "expired", "revoked")
Run = Callable[..., Completed]


@pytest.fixture(scope="module")
def layers(configuration: Config, store: Store) -> list[Path]:
    """The files of rpm and all that it requires."""
    session = Session(config=configuration, store=store, reporter=Reporter(), offline=True)
    done = build_packages(session, profile_specs(session, session.config.profile("default")))
    packages = {package.nevra: package for built in done.values() for package in built.packages}
    with repository(session, done) as place:
        found = solve(place, packages, PROGRAMS, arch=configuration.distribution.arch)
    return [tree_of(package) for package in found]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those of tests/data, and two that are known.rpm but for one byte, in the header or the payload."""
    folder = tmp_path_factory.mktemp("signed")
    shutil.copytree(DATA, folder, dirs_exist_ok=True)
    signed = (DATA / "known.rpm").read_bytes()
    for name, place in {"header": signed.index(b"A package that is signed"), "payload": len(signed) - 40}.items():
        changed = bytearray(signed)
        changed[place] ^= 1
        (folder / f"{name}.rpm").write_bytes(changed)
    return folder


@pytest.fixture
def run(layers: list[Path], packages: Path, store: Store) -> Run:
    """Run rpm(8) on a package with these keys imported; `level`: what %_pkgverify_level is set to."""

    def run(*argv: str, keys: tuple[str, ...] = KEYS, level: str = "") -> Completed:
        words = [*argv[:1], *(["--define", f"_pkgverify_level {level}"] if level else []), *argv[1:]]
        lines = ["set -e", "cd /data", "rpm --initdb", *(f"rpmkeys --import {key}.asc" for key in keys), 'exec "$@"']
        sandbox = Sandbox(layers=layers, scratch=store.scratch, binds=[Bind(packages, "/data")])
        return sandbox.run(["bash", "-c", "\n".join(lines), "bash", *words], check=False)

    return run


def test_keys_are_imported_and_listed(run: Run) -> None:
    listed = run("rpmkeys", "--list").stdout
    assert all(f"<{key}@tests.invalid>" in listed for key in KEYS)


@pytest.mark.parametrize(
    ("name", "keys", "level", "says", "code"),
    [
        ("known", KEYS, "", "digests signatures OK", 0),
        ("known", KEYS, "all", "digests signatures OK", 0),
        ("known", (), "", "digests SIGNATURES NOT OK", 1),
        ("known", ("expired",), "", "digests SIGNATURES NOT OK", 1),
        ("revoked", KEYS, "", "digests SIGNATURES NOT OK", 1),
        ("header", KEYS, "", "DIGESTS SIGNATURES NOT OK", 1),
        ("payload", KEYS, "", "DIGESTS SIGNATURES NOT OK", 1),
        # rpm's own default asks for digests alone, of what carries no signature.
        ("unsigned", KEYS, "", "digests OK", 0),
        ("unsigned", KEYS, "all", "digests SIGNATURES NOT OK", 1),
        # Signed while the key was valid: for rpm that is what counts.
        ("expired", KEYS, "all", "digests signatures OK", 0),
    ],
)
def test_what_rpm_says_of_a_package(
    run: Run, name: str, keys: tuple[str, ...], level: str, says: str, code: int
) -> None:
    done = run("rpm", "-K", f"{name}.rpm", keys=keys, level=level)
    assert (done.stdout.strip(), done.returncode) == (f"{name}.rpm: {says}", code)


@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("known", KEYS, ""),
        ("known", (), "does not verify: Header V4 RSA/SHA512 Signature, key ID 70158d2f: NOKEY"),
        ("revoked", KEYS, "NOTTRUSTED"),
        ("unsigned", KEYS, "does not verify: no signature"),
        ("header", KEYS, "Signature, key ID 70158d2f: BAD"),
        ("payload", KEYS, "does not verify: Payload SHA256"),
    ],
)
def test_what_is_installed_where_signatures_are_asked_for(
    run: Run, name: str, keys: tuple[str, ...], message: str
) -> None:
    done = run("rpm", "-i", f"{name}.rpm", keys=keys, level="all")
    assert done.returncode == bool(message) and message in done.stderr
