"""An installation without a kickstart: the few questions whose answers make one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from photonbuild.documents import Document
from photonbuild.installer.errors import Declined, DiskError
from photonbuild.installer.kickstart.keys_disk import passphrase_fault
from photonbuild.installer.kickstart.model import Kickstart
from photonbuild.installer.kickstart.parse import from_document
from photonbuild.installer.kickstart.values import HOST, KEY_LINE
from photonbuild.installer.machine.facts import Disk
from photonbuild.installer.passwords import sha512_crypt
from photonbuild.installer.plan.steps import Plan
from photonbuild.installer.terminals import Terminals

# Seconds.
COUNT_DOWN = 15


def ask_all(terminals: Terminals, disks: Sequence[Disk]) -> Kickstart:
    """A kickstart from the answers on the console. Raises DiskError where there is no disk to install onto."""
    if not any(not disk.in_use for disk in disks):
        reasons = [f"{disk.path}: {disk.in_use}" for disk in disks]
        raise DiskError("there is no disk to install onto", detail="\n".join(reasons) or None)
    data: dict[str, object] = {"disk": _ask_disk(terminals, disks)}
    if name := _ask(terminals, "host name, or Enter for one of its own: ", HOST.pattern, HOST.expected):
        data["hostname"] = name
    if key := _ask(terminals, "public ssh key for root, or Enter for none: ", KEY_LINE.pattern, KEY_LINE.expected):
        data["public_key"] = key
    if password := _ask_password(terminals):
        data["password"] = {"crypted": True, "text": sha512_crypt(password)}
    return from_document(Document(name="answers", node=None, data=data))


def confirm(terminals: Terminals, plan: Plan) -> None:
    """Raises Declined unless the answer is yes."""
    for note in plan.notes:
        terminals.write(f"note: {note}")
    answer = terminals.ask(f"everything on {plan.disk} will be lost; write yes to go on: ")
    if answer != "yes":
        raise Declined("not confirmed, nothing was written")


def count_down(terminals: Terminals, plan: Plan, found: str) -> None:
    """Some seconds in which Enter on a console stops it; raises Declined then. A machine without a console goes on."""
    text = f"everything on {plan.disk} will be lost, as {found} says; Enter within {COUNT_DOWN} s stops this"
    if terminals.entered(text, COUNT_DOWN):
        raise Declined("stopped on the console, nothing was written")


def ask_passphrase(terminals: Terminals, kickstart: Kickstart) -> Kickstart:
    """The kickstart with a passphrase for what is encrypted and has none. Raises Declined without a console."""
    if not kickstart.lacks_passphrase:
        return kickstart
    while True:
        first = terminals.ask("passphrase for the encrypted partitions: ", secret=True)
        if fault := passphrase_fault(first):
            terminals.write(fault)
        elif first != terminals.ask("the same again: ", secret=True):
            terminals.write("these are two different passphrases")
        else:
            return kickstart.with_passphrase(first)


def _ask_disk(terminals: Terminals, disks: Sequence[Disk]) -> str:
    for number, disk in enumerate(disks, 1):
        state = f"not possible: {disk.in_use}" if disk.in_use else f"on it: {disk.content}"
        terminals.write(f"  {number}  {disk.name}\n     {state}")
    while True:
        answer = terminals.ask("number of the disk to install onto: ")
        chosen = [disk for number, disk in enumerate(disks, 1) if answer in (str(number), disk.path)]
        if not chosen:
            terminals.write(f"there is no disk '{answer}'")
        elif chosen[0].in_use:
            terminals.write(f"{chosen[0].path}: {chosen[0].in_use}")
        else:
            return chosen[0].path


def _ask(terminals: Terminals, question: str, pattern: str, expected: str) -> str:
    while True:
        answer = terminals.ask(question)
        if not answer or re.fullmatch(pattern, answer):
            return answer
        terminals.write(f"{expected} is expected")


def _ask_password(terminals: Terminals) -> str:
    while True:
        first = terminals.ask("password of root for the console, or Enter for none: ", secret=True)
        if not first or first == terminals.ask("the same again: ", secret=True):
            return first
        terminals.write("these are two different passwords")
