"""tdnf with 5,000 packages in its repository: memory, the time to read their metadata, and to install one of them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.integration.tdnf_fixtures import Lab, lab, layers, made
from tests.support.tdnf_lab import Host, publish
from tests.support.tinyrpm import write_rpm

__all__ = ["lab", "layers", "made"]

PACKAGES = 5000
MEMORY = 40 << 20
MAKECACHE = 2.0  # seconds
OVERHEAD = 1.5  # times a download and rpm alone
UNSIGNED = ("repo_gpgcheck=0", "gpgcheck=0")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    rng = random.Random(1)
    for number in range(PACKAGES):
        name = f"pkg{number}"
        write_rpm(
            folder,
            name,
            requires=[f"pkg{rng.randrange(number)}" for _ in range(min(number, 6))],
            provides=[f"lib{name}.so.1()(64bit)", f"pkgconfig({name})"],
            files=[f"/usr/bin/{name}", *(f"/usr/share/{name}/file{file}" for file in range(20))],
        )
    return folder


@pytest.fixture
def host(lab: Lab, many: Path) -> Host:
    folder = lab.web.folder / "many"
    folder.mkdir()
    for file in many.iterdir():
        (folder / file.name).hardlink_to(file)
    publish(folder, [lab.file("big")], None)
    lab.host.repo("many", f"{lab.web.url}/many", *UNSIGNED)
    return lab.host


def test_memory_and_time_of_reading_the_metadata(host: Host) -> None:
    done = host.run("makecache")
    # The processor's seconds: others work on this machine as well.
    assert done.cpu_seconds < MAKECACHE and done.peak_rss < MEMORY
    for words in (["list"], ["provides", "/usr/share/pkg7/file3"], ["check-update"], ["--assumeno", "install", "big"]):
        done = host.sandbox.run(["tdnf", "--installroot", "/lab/root", *words], check=False)
        assert done.peak_rss < MEMORY, words
    assert len(host.run("list").stdout.splitlines()) == PACKAGES + 1


def test_time_of_an_installation(host: Host) -> None:
    host.run("makecache")
    rpm = ["rpm", "--root", "/lab/root"]
    url = host.run("download", "--url", "big").stdout.strip()
    alone, whole = [], []
    for _ in range(5):
        download = host.sandbox.run(["curl", "--silent", "--output", "/lab/big.rpm", url])
        install = host.sandbox.run([*rpm, "-i", "/lab/big.rpm"])
        alone.append(download.cpu_seconds + install.cpu_seconds)
        host.sandbox.run([*rpm, "-e", "big"])
        whole.append(host.run("-y", "install", "big").cpu_seconds)
        host.sandbox.run([*rpm, "-e", "big"])
    # One run is told in steps of 10 ms, of which it takes two or three.
    assert sum(whole) < OVERHEAD * sum(alone), f"{sum(whole):.2f} s, alone {sum(alone):.2f} s"
