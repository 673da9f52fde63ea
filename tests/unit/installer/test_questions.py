"""An installation without a kickstart."""

from __future__ import annotations

import os

import pytest

from photonbuild.installer import questions
from photonbuild.installer.errors import Declined, DiskError
from photonbuild.installer.machine.facts import Disk
from photonbuild.installer.passwords import sha512_crypt
from photonbuild.installer.plan.make import make_plan
from tests.support.installer import GIB, KEY, facts, kickstart, terminal


def test_answers_make_a_kickstart() -> None:
    terminals, out = terminal(f"3\n2\n1\nbad_name\nh1\n{KEY}\na\nb\nsecret\nsecret\n")
    disks = [Disk(path="/dev/sda", size=8 * GIB, model="M"), Disk(path="/dev/sdb", size=GIB, in_use="it is mounted")]
    found = questions.ask_all(terminals, disks)
    assert (found.disk, found.hostname, found.public_key) == ("/dev/sda", "h1", KEY)
    assert found.password and found.password == sha512_crypt("secret", found.password.split("$")[2])
    shown = os.read(out, 65536).decode()
    for text in (
        "there is no disk '3'",
        "/dev/sdb: it is mounted",
        "a host name",
        "two different passwords",
        "8.0 GiB",
    ):
        assert text in shown


def test_no_disk_no_answer_no_confirmation() -> None:
    with pytest.raises(DiskError, match="there is no disk to install onto"):
        questions.ask_all(terminal("")[0], [Disk(path="/dev/sda", size=1, in_use="x")])
    with pytest.raises(Declined, match="nobody answers"):
        questions.ask_all(terminal("")[0], [Disk(path="/dev/sda", size=1)])
    with pytest.raises(Declined, match="not confirmed"):
        questions.confirm(terminal("y\n")[0], make_plan(kickstart(), facts()))
    questions.confirm(terminal("yes\n")[0], make_plan(kickstart(), facts()))


def test_a_passphrase_that_no_key_has() -> None:
    parts = [{"mountpoint": "/", "size": 0}, *({"mountpoint": f"/{n}", "size": 99, "luks": {}} for n in "ab")]
    wanted = kickstart(partitions=parts)
    terminals, out = terminal("one\ntwo\n\none\none\n")
    found = questions.ask_passphrase(terminals, wanted)
    assert [each.luks.passphrase for each in found.partitions if each.luks] == ["one", "one"]
    shown = os.read(out, 65536).decode()
    assert "these are two different passphrases" in shown and "a passphrase has 1 to 512 bytes" in shown
    assert "one" not in repr(found).replace("None", "")
    with pytest.raises(Declined, match="nobody answers: there is no console"):
        questions.ask_passphrase(terminal("")[0], wanted)


def test_nobody_is_asked_for_a_passphrase_that_is_there() -> None:
    boot = {"mountpoint": "/boot", "size": 99}
    root = {"mountpoint": "/", "size": 0, "luks": {"passphrase": "x"}}
    for parts in ([boot, root, {"filesystem": "swap", "size": 99, "luks": {}}], [{"mountpoint": "/", "size": 0}]):
        wanted = kickstart(partitions=parts)
        assert questions.ask_passphrase(terminal("")[0], wanted) == wanted
