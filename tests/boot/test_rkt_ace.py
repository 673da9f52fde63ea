"""The App Container specification's own conformance suite, run by rkt in the booted machine.

Two images, main and sidekick, run as one pod with a shared volume and the metadata service. Each of their programs says
``NAME OK``, or ``NAME FAIL`` and the checks that failed behind ``==>``.
https://github.com/appc/spec/blob/v0.8.11/README.md#validating-app-container-executors-aces
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from photonbuild.machines.guest import left_behind, traces
from photonbuild.run import Completed
from tests.support.machines import Guest

pytestmark = pytest.mark.boot

FOLDER = "/root/ace"
UUID_FILE = f"{FOLDER}/uuid"
# The app and two event handlers of ace/image_manifest_main.json.in; the app of ace/image_manifest_sidekick.json.in.
PROGRAMS = {"prestart", "main", "sidekick", "poststop"}
NAMES = ("main", "sidekick")


@pytest.fixture(scope="module")
def fetched(guest: Guest, ace_images: list[Path]) -> Iterator[list[str]]:
    """Both images in rkt's store, by ID."""
    guest.ssh(f"mkdir -p {FOLDER}")
    ids = []
    for name, path in zip(NAMES, ace_images, strict=True):
        guest.write(f"{FOLDER}/{name}.aci", path.read_bytes())
        ids.append(guest.out(f"rkt --insecure-options=image fetch --full {FOLDER}/{name}.aci | tail -n 1"))
    yield ids
    guest.ssh(f"rkt gc --grace-period=0s; rkt image rm {' '.join(ids)}; rm -r {FOLDER}", check=False)


def test_manifests_are_the_suites_own(guest: Guest, fetched: list[str]) -> None:
    for name, image in zip(NAMES, fetched, strict=True):
        assert f'"coreos.com/ace-validator-{name}"' in guest.out(f"rkt image cat-manifest {image}")


def run_both(guest: Guest, images: list[str], options: str) -> Completed:
    return guest.ssh(
        f"rkt --insecure-options=image run --mds-register --net=default {options} --uuid-file-save={UUID_FILE} "
        f"{' '.join(images)} 2>&1",
        check=False,
    )


@pytest.mark.parametrize("volume", ["empty", "host"])
def test_every_check_passes(guest: Guest, fetched: list[str], volume: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = {
        "empty": "--volume=database,kind=empty",
        "host": f"--volume=database,kind=host,source={FOLDER}/database",
    }[volume]
    # The suite gives the metadata service a tenth of a second. A machine that was too busy for that is asked again.
    for _ in range(3):
        guest.ssh(f"rm -rf {FOLDER}/database; mkdir -p {FOLDER}/database")
        done = run_both(guest, fetched, options)
        if "Client.Timeout exceeded" not in done.stdout:
            break
    with capsys.disabled():
        print(f"\n{done.stdout.rstrip()}")
    said = dict(re.findall(r"\b([a-z]+) (OK|FAIL)\b", done.stdout, re.IGNORECASE))
    assert {name.lower(): result for name, result in said.items()} == dict.fromkeys(PROGRAMS, "OK"), done.stdout
    assert "==>" not in done.stdout
    assert done.returncode == 0
    status = guest.out(f"rkt status $(cat {UUID_FILE})").splitlines()
    assert {"state=exited", "app-ace-validator-main=0", "app-ace-validator-sidekick=0"} <= set(status)
    if volume == "host":
        assert guest.out(f"ls {FOLDER}/database").split() == ["main", "sidekick"]


def test_a_failing_check_is_seen(guest: Guest, fetched: list[str]) -> None:
    """Without its sidekick the main program must fail, and say why: the suite is not deaf here."""
    done = guest.ssh(
        f"rkt --insecure-options=image run --mds-register --net=default --uuid-file-save={UUID_FILE} {fetched[0]} 2>&1",
        check=False,
    )
    assert done.returncode != 0
    assert "main FAIL" in done.stdout and "timed out waiting for /db/sidekick" in done.stdout


def test_apps_share_no_volume_that_nobody_named(guest: Guest, fetched: list[str]) -> None:
    """As in rkt each app gets one of its own: neither sees the other's file, and the first to give up ends the pod."""
    done = run_both(guest, fetched, "")
    assert done.returncode != 0
    # The verdict and its reason come through two pipes, in either order.
    failed = re.findall(r"^(main|sidekick) FAIL$", done.stdout, re.MULTILINE)
    missed = re.findall(r"^==> timed out waiting for /db/(main|sidekick)$", done.stdout, re.MULTILINE)
    assert failed and set(missed) == {other for app in failed for other in NAMES if other != app}, done.stdout


def test_nothing_is_left(guest: Guest, fetched: list[str]) -> None:
    guest.ssh("rkt gc --grace-period=0s; rkt gc --grace-period=0s")
    before = traces(guest.config)
    guest.ssh(
        f"rkt --insecure-options=image run --mds-register --net=default --uuid-file-save={UUID_FILE} "
        f"--volume=database,kind=empty {' '.join(fetched)} && rkt rm $(cat {UUID_FILE})"
    )
    assert guest.out("rkt list --no-legend") == ""
    assert left_behind(guest.config, before) == []
