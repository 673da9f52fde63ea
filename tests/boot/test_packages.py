"""The packages behind the image: nothing copied from the seed, sources kept, nothing rebuilt by a second run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.log import Reporter
from photonbuild.packages.built import Built
from photonbuild.pipeline.build import build_packages, profile_specs
from photonbuild.pipeline.image import make_image
from photonbuild.pipeline.session import Session
from photonbuild.store import Store

pytestmark = pytest.mark.boot

ROOT = Path(__file__).parents[2]
SECOND_RUN_SECONDS = 5
ISO_MB = 200


@pytest.fixture(scope="module")
def session(configuration: Config, store: Store) -> Session:
    return Session(config=configuration, store=store, reporter=Reporter(), offline=True)


@pytest.fixture(scope="module")
def built(session: Session) -> dict[str, Built]:
    profile = session.config.profile(session.config.image("iso").profile)
    return build_packages(session, profile_specs(session, profile))


def test_no_elf_file_is_one_of_the_seeds(session: Session, built: dict[str, Built]) -> None:
    looked_at = 0
    for name, result in built.items():
        digests = {digest for files in result.elf.values() for _, digest in files}
        looked_at += len(digests)
        if name not in session.config.seeds.copies:
            assert not digests & session.seed.elf, f"{name} holds a copy of a file of the seed"
    assert looked_at > 300
    assert len(session.seed.elf) > 500


def test_source_rpms_are_kept(built: dict[str, Built]) -> None:
    for name, result in built.items():
        srpms = list((result.folder / "srpms").glob("*.src.rpm"))
        assert [path.name.rpartition("-")[0].rpartition("-")[0] for path in srpms] == [name]


def test_every_compiled_package_has_debuginfo_or_says_why(built: dict[str, Built]) -> None:
    for name, result in built.items():
        has_elf = any(result.elf.values())
        has_debuginfo = any(package.name.endswith("-debuginfo") for package in result.packages)
        if has_elf and not has_debuginfo:
            spec = (ROOT / "specs" / name / f"{name}.spec").read_text(encoding="utf-8")
            assert "%global debug_package %{nil}" in spec, name


def test_manifest_lists_every_package_of_the_image(session: Session, built: dict[str, Built], iso: Path) -> None:
    manifest = json.loads(iso.with_name(f"{iso.name}.manifest.json").read_text(encoding="utf-8"))
    known = {package.nevra: package.sha256 for result in built.values() for package in result.packages}
    listed = {package["nevra"]: package["sha256"] for package in manifest["packages"]}
    assert len(listed) > 50
    assert {nevra: known[nevra] for nevra in listed} == listed
    assert session.seed.digest in json.dumps(manifest)


def test_image_is_reproducible(session: Session, iso: Path) -> None:
    """Made again from the same packages, with nothing of the first taken over, it has the same bytes."""
    with session.store.staging() as folder:
        again, _ = make_image(session, "iso", (), fresh=folder)
        assert again.path.read_bytes() == iso.read_bytes()
        assert again.manifest.read_bytes() == iso.with_name(f"{iso.name}.manifest.json").read_bytes()


def test_second_run_builds_nothing(iso: Path) -> None:
    """In time, when other tests let it: a slow run is judged by two more."""
    took: list[float] = []
    while len(took) < 3 and min(took, default=SECOND_RUN_SECONDS) >= SECOND_RUN_SECONDS:
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "photonbuild", "image", "iso"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        took.append(time.monotonic() - started)
    assert min(took) < SECOND_RUN_SECONDS, took
    assert "built" not in done.stderr
    assert Path(done.stdout.strip()).samefile(iso)


def test_size(iso: Path) -> None:
    assert iso.stat().st_size <= ISO_MB * 1_000_000
