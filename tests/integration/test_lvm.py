"""What we write of LVM, read by LVM2's own tool as the distribution has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.disk import lvm
from photonbuild.log import Reporter
from photonbuild.packages.buildroot import with_requirements
from photonbuild.packages.built import tree_of
from photonbuild.pipeline.build import build_packages
from photonbuild.pipeline.configuration import load_config
from photonbuild.pipeline.session import Session
from photonbuild.run import Completed
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.store import Store
from tests.integration.conftest import PROJECT, STORE
from tests.unit.test_lvm import group

# The package and what it is built of may have to be built.
pytestmark = [pytest.mark.integration, pytest.mark.long]


@pytest.fixture(scope="module")
def tool(seeded_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    session = Session(config=load_config(PROJECT), store=Store.open(STORE), reporter=Reporter())
    spec = session.spec("lvm2")
    done = build_packages(session, [spec.name])
    found = with_requirements(session.builder, ["lvm2"], done, spec).values()
    return Sandbox(
        layers=[*(tree_of(package) for package in found), session.seed.root],
        scratch=session.store.scratch,
        binds=[Bind(tmp_path_factory.mktemp("disks"), "/work", readonly=False)],
    )


def pvck(tool: Sandbox, name: str, content: bytes, size: int, *words: str) -> Completed:
    path = next(bind.source for bind in tool.binds if bind.target == "/work") / name
    path.write_bytes(content)
    with path.open("r+b") as handle:
        handle.truncate(size)
    # It looks for devices, of which a sandbox has none, before it comes to the file.
    return tool.run(["lvm", "pvck", "--dump", *words, f"/work/{name}"], check=False)


def test_headers_and_text_are_right(tool: Sandbox) -> None:
    made = group(201, 99, one=10, wide=45, three=15)
    for number, physical in enumerate(made.physical):
        content = lvm.header(made, number)
        done = pvck(tool, f"pv{number}", content, physical.size, "headers")
        assert done.returncode == 0 and "WARNING" not in done.stdout + done.stderr, done
        assert "# vgname data seqno 1" in done.stdout
        text = pvck(tool, f"pv{number}", content, physical.size, "metadata").stdout
        assert lvm.metadata(made).strip() in text


@pytest.mark.parametrize(("place", "said"), [(600, "label_header.crc"), (4200, "mda_header_1.checksum"), (5000, "crc")])
def test_the_tool_does_see_what_is_wrong(tool: Sandbox, place: int, said: str) -> None:
    made = group(50, one=3)
    content = bytearray(lvm.header(made, 0))
    content[place] ^= 1
    done = pvck(tool, "wrong", bytes(content), made.physical[0].size, "headers")
    assert done.returncode != 0 or f"{said}" in "".join(
        line for line in (done.stdout + done.stderr).splitlines() if "WARNING" in line or "CHECK" in line
    ), done
