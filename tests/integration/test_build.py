"""Builds of the small distribution with the real rpmbuild, createrepo_c and libsolv."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time
from pathlib import Path

from photonbuild.packages import repo, solve
from tests.integration.conftest import PROJECT, Checkout

EPOCH = 1767225600


def digests(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    paths = [Path(line) for line in done.stdout.splitlines()]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_builds_everything_once_and_in_order(checkout: Checkout) -> None:
    first = checkout.run("build")
    assert {path.rsplit("/", 1)[1] for path in first.stdout.splitlines()} >= {
        "libmini-1.0-1.phos1.x86_64.rpm",
        "libmini-devel-1.0-1.phos1.x86_64.rpm",
        "mini-1.0-1.phos1.x86_64.rpm",
        "mini-suite-1.0-1.phos1.noarch.rpm",
    }
    assert checkout.leftovers() == []
    started = time.monotonic()
    second = checkout.run("build", "-v")
    assert time.monotonic() - started < 5
    assert second.stdout == first.stdout
    assert second.stderr.count("cached") == 5
    assert "0 will be built" in checkout.run("plan").stderr
    srpms = {path.name for path in (checkout.store / "packages").glob("*/*/srpms/*.src.rpm")}
    assert "mini-1.0-1.phos1.src.rpm" in srpms


def test_two_builds_with_different_jobs_are_identical(checkout: Checkout) -> None:
    first = digests(checkout.run("build", "--jobs", "1"))
    for path in (checkout.store / "packages").iterdir():
        subprocess.run(["rm", "-rf", path], check=True)
    assert digests(checkout.run("build", "--jobs", "2")) == first


def test_unchanged_dependency_rebuilds_nothing_above_it(checkout: Checkout) -> None:
    first = checkout.run("build")
    # The comment changes the source of libmini but not the object code: only libmini is built again.
    source = checkout.root / "specs" / "libmini" / "mini.c"
    source.write_text(
        source.read_text(encoding="utf-8").replace("return 42;", "return 42; /* sic */"), encoding="utf-8"
    )
    planned = checkout.run("plan").stdout
    assert "will    libmini" in planned
    assert "files mini.c" in planned
    assert "may     mini 1.0" in planned
    # debuginfo and debugsource of libmini differ, its devel and run-time packages do not.
    second = checkout.run("build", "-v")
    assert second.stderr.count("cached") == 4
    differ = dict(digests(second).items() ^ digests(first).items())
    assert set(differ) <= {f"libmini-{part}-1.0-1.phos1.x86_64.rpm" for part in ("debuginfo", "debugsource")}
    # A change of the library's code reaches the program.
    source.write_text(
        source.read_text(encoding="utf-8").replace("42", "40 + 2 + 0 * (int)sizeof(int)"), encoding="utf-8"
    )
    checkout.run("build")


def test_repository_and_solve(checkout: Checkout, tmp_path: Path) -> None:
    rpms = [
        Path(line) for line in checkout.run("build", "mini", "mini-data", "mini-tool", "libmini").stdout.splitlines()
    ]
    repo.make_repository(rpms, tmp_path / "one", revision=EPOCH)
    repo.make_repository(list(reversed(rpms)), tmp_path / "two", revision=EPOCH)
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / n / "repodata").iterdir()} for n in ("one", "two"))
    assert one == two
    found = solve.requirements(tmp_path / "one", arch="x86_64")
    assert any("libc.so.6" in text for text in found["mini-1.0-1.phos1.x86_64"])


def test_debuginfo_and_hardening(checkout: Checkout, seeded_store: Path) -> None:
    checkout.run("build", "mini")
    rpms = {path.name for path in (checkout.store / "packages" / "mini").glob("*/rpms/*.rpm")}
    assert "mini-debuginfo-1.0-1.phos1.x86_64.rpm" in rpms
    program = next((checkout.store / "packages" / "mini").glob("*/trees/mini/usr/bin/mini"))
    shown = subprocess.run(["readelf", "-lndW", program], capture_output=True, text=True, check=True).stdout
    assert "GNU_RELRO" in shown
    assert "BIND_NOW" in shown or "NOW" in shown
    assert (
        "DYN (Position-Independent"
        in subprocess.run(["readelf", "-hW", program], capture_output=True, text=True, check=True).stdout
    )


def test_interrupt_leaves_nothing_and_resumes(checkout: Checkout) -> None:
    checkout.edit("mini", "%build\n", "%build\nsleep 86397\n")
    env = {**os.environ, "PYTHONPATH": str(PROJECT)}
    process = subprocess.Popen(checkout.argv("build"), env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    log = checkout.store / "logs" / "mini.log"
    deadline = time.monotonic() + 120
    while not (log.exists() and "sleep 86397" in log.read_text(encoding="utf-8")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"error: interrupted" in errors
    assert checkout.leftovers() == []
    assert "sleep 86397" not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    checkout.edit("mini", "sleep 86397\n", "")
    done = checkout.run("build", "-v")
    assert "libmini cached" in done.stderr


def test_killed_build_is_swept_and_resumes(checkout: Checkout) -> None:
    checkout.edit("mini", "%build\n", "%build\nsleep 86398\n")
    env = {**os.environ, "PYTHONPATH": str(PROJECT)}
    process = subprocess.Popen(checkout.argv("build"), env=env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    log = checkout.store / "logs" / "mini.log"
    deadline = time.monotonic() + 120
    while not (log.exists() and "sleep 86398" in log.read_text(encoding="utf-8")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.2)
    process.kill()
    process.wait()
    time.sleep(1)
    assert "sleep 86398" not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    checkout.edit("mini", "sleep 86398\n", "")
    checkout.run("build")
    assert checkout.leftovers() == []


def test_two_builds_at_once(checkout: Checkout) -> None:
    env = {**os.environ, "PYTHONPATH": str(PROJECT)}
    both = [
        subprocess.Popen(checkout.argv("build"), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]
    assert len(list((checkout.store / "packages" / "mini").iterdir())) == 1
    assert checkout.leftovers() == []


def test_why_names_what_changed(checkout: Checkout) -> None:
    checkout.run("build")
    assert checkout.run("why", "libmini").stdout.startswith("package libmini is in the store\n")
    source = checkout.root / "specs" / "libmini" / "mini.c"
    source.chmod(0o755)
    said = checkout.run("why", "libmini").stdout.splitlines()
    assert said[0] == "package libmini will be built"
    assert len(said) == 2 and said[1].startswith("  files mini.c: 0644 ") and " → 0755 " in said[1]
    assert checkout.run("why", "package:mini").stdout == "package mini may be built\n  after libmini\n"
    assert checkout.run("why", "seed:build").stdout.startswith("seed build is in the store\n")
    wrong = checkout.run("why", "packge:mini", code=2)
    assert "unknown kind 'packge', did you mean 'package'" in wrong.stderr
