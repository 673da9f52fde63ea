"""`photonbuild graph` and `who-needs` on a foreign tree: rpm's own parser, in the sandbox, on hostile specs too."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from photonbuild.packages.declared import DeclaredTree, read_tree
from photonbuild.pipeline.configuration import load_config
from photonbuild.seeds import seed
from photonbuild.store import Store
from tests.integration.conftest import PROJECT, Checkout, make_checkout
from tests.support.spectree import REFUSED, SAID, SPECS, SpecTree, write_tree

EPOCH = 1767225600
HEAD = "Name: {}\nVersion: 1\nRelease: 1\nSummary: x\nLicense: MIT\n"
TAIL = "%description\nx\n%files\n"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SpecTree]:
    folder = tmp_path_factory.mktemp("foreign")
    return folder, write_tree(folder)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, seeded_store: Path) -> Store:
    root = tmp_path_factory.mktemp("store")
    (root / "seeds").symlink_to(seeded_store / "seeds")
    return Store.open(root)


def read(folder: Path, store: Store, *, macros: bool = True) -> DeclaredTree:
    found = seed.build(load_config(PROJECT), store, "build", print, locked=False, offline=True)
    files = [folder / "macros"] if macros else []
    return read_tree(folder, files, store=store, seed=found.root, seed_digest=found.digest, epoch=EPOCH)


def test_all_but_those_that_rpm_refuses(tree: tuple[Path, SpecTree], store: Store) -> None:
    folder, written = tree
    found = read(folder, store)
    assert len(found.specs) + len(found.refused) == written.count == SPECS
    assert found.refused.keys() == written.refused
    for name in REFUSED:
        assert SAID[name] in found.refused[f"SPECS/{name}/{name}.spec"]
    assert {spec.path for spec in found.specs if not spec.wanted} == written.left_out
    assert {spec.path for spec in found.specs if "python2" in spec.printed} == written.loud
    driver = next(spec for spec in found.specs if spec.path == "SPECS/kernel/kernel-drivers-net-2.spec")
    assert (driver.name, driver.evr) == ("kernel-drivers-net", "1.2-1.0612007003.t5")
    assert [str(need) for need in driver.build_requires] == ["kernel-devel = 6.12.7-3.t5"]


def test_only_what_has_changed_is_read_again(tree: tuple[Path, SpecTree], store: Store) -> None:
    folder, _ = tree
    before = read(folder, store)
    assert read(folder, store).fresh == frozenset()
    licence = folder / "SPECS/grep/license.txt"
    licence.write_text("License: GPL-3.0-or-later\n", encoding="utf-8")
    again = read(folder, store)
    assert again.fresh == {"SPECS/grep/grep.spec"}
    assert [spec.path for spec in again.specs] == [spec.path for spec in before.specs]
    # Without the macros it is another reading: what leaves itself out with them cannot tell now.
    assert all(spec.wanted for spec in read(folder, store, macros=False).specs)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    specs = {
        "good": TAIL,
        "endless": f"%(while :; do :; done)\n{TAIL}",
        "sleeper": f"%(sleep 100000)\n{TAIL}",
        "daemon": f"%(setsid sh -c 'while :; do :; done' >/dev/null 2>&1 &)\n{TAIL}",
        "memory": f"%{{lua: local t = {{}}; for i = 1, 1e9 do t[i] = string.rep('x', 1000) .. i end}}\n{TAIL}",
        "printer": f"%(yes >&2)\n{TAIL}",
        "killer": f"%{{lua: posix.kill(posix.getprocessid('ppid'), 9)}}\n{TAIL}",
        "escapes": f"%{{lua: io.stderr:write('\\27[2J\\27]0;x\\7')}}\n{TAIL}",
        # What others answer is not for it to write: neither by its own descriptors nor by those of its parent.
        "forger": "%{lua: for p in io.popen('echo /proc/*/fd/*'):read('a'):gmatch('%S+') do"
        " local f = io.open(p, 'w'); if f then f:write('[]') end end}\n" + TAIL,
    }
    for name, text in specs.items():
        folder = tmp_path / "tree" / name
        folder.mkdir(parents=True)
        (folder / f"{name}.spec").write_text(HEAD.format(name) + text, encoding="utf-8")
    return tmp_path / "tree"


@pytest.mark.long
def test_hostile_specs_harm_only_themselves(hostile: Path, store: Store) -> None:
    started = time.monotonic()
    found = read(hostile, store, macros=False)
    # Two of them take all of their 20 seconds; on two cores, with all else, that is far below what a batch may take.
    assert time.monotonic() - started < 300
    names = {spec.name: spec for spec in found.specs}
    assert "good" in names and names["good"].evr == "1-1"
    assert {"endless/endless.spec", "sleeper/sleeper.spec", "memory/memory.spec"} <= found.refused.keys()
    assert "took longer than" in found.refused["sleeper/sleeper.spec"]
    shown = [*found.refused.values(), *(spec.printed for spec in found.specs)]
    assert not any("\x1b" in text or "\x07" in text for text in shown)
    # A second try may fare better: what ran into a bound is not remembered, and what rpm took is.
    assert "good/good.spec" not in read(hostile, store, macros=False).fresh
    assert not list((store.root / "tmp").iterdir())


def test_the_commands(tmp_path: Path, seeded_store: Path, tree: tuple[Path, SpecTree]) -> None:
    folder, written = tree
    checkout: Checkout = make_checkout(tmp_path, seeded_store)
    options = ["--specs", str(folder), "--macros", str(folder / "macros")]
    done = checkout.run("graph", *options, "kernel", "--depth", "1")
    assert "SPECS/refused-licence/refused-licence.spec: rpm cannot parse this spec" in done.stderr
    assert SAID["refused-include"] in done.stderr
    assert f"{len(written.refused)} refused by rpm" in done.stderr
    assert "  Requires: (coreutils or toybox) → coreutils\n" in done.stdout
    data = json.loads(checkout.run("graph", *options, "--form", "json").stdout)
    assert {row["path"] for row in data["refused"]} == written.refused
    assert set(data["left_out"]) == written.left_out
    assert len(data["specs"]) == SPECS - len(written.refused) - len(written.left_out)
    dot = checkout.run("graph", *options, "--form", "dot", "kernel").stdout
    assert '"kernel" -> "coreutils" [style=dashed];' in dot
    chain = checkout.run("graph", *options, "--why", "SPECS/kernel/kernel-drivers-net-2.spec", "coreutils").stdout
    assert chain.splitlines()[-1] == "kernel Requires: (coreutils or toybox) → coreutils"
    users = checkout.run("who-needs", *options, "kernel").stdout
    assert "kernel-drivers-net" in users and "kernel-devel = 6.12.7-3.t5" in users
    failed = checkout.run("graph", *options, "kernl", code=2)
    assert "did you mean 'kernel'" in failed.stderr
    assert "did you mean" not in checkout.run("graph", *options, "refused-licence", code=3).stderr


def test_a_picture(tmp_path: Path, seeded_store: Path) -> None:
    """By graphviz where this machine has it, else an error that says so."""
    checkout = make_checkout(tmp_path, seeded_store)
    if os.path.exists("/usr/bin/dot"):
        checkout.run("graph", "--form", "svg", "--output", str(tmp_path / "graph.svg"))
        assert "<svg" in (tmp_path / "graph.svg").read_text(encoding="utf-8")
    else:
        assert "install graphviz" in checkout.run("graph", "--form", "svg", code=3).stderr


def test_this_checkout(checkout: Checkout) -> None:
    assert "BuildRequires: libmini-devel → libmini-devel (libmini)" in checkout.run("graph", "mini").stdout
    users = json.loads(checkout.run("who-needs", "libmini", "--json").stdout)
    assert "mini" in users["specs"]
    assert {step["user"] for step in users["users"]} >= {"mini"}
    failed = checkout.run("log", "mini", code=2)
    assert "'mini' was never built in this store" in failed.stderr
    checkout.run("build", "mini-data")
    assert "mini-data" in checkout.run("log", "mini-data").stdout
    found = json.loads(checkout.run("log", "mini-data", "--json").stdout)
    assert found["name"] == "mini-data" and not found["failed"] and found["lines"]
