"""What all clouds have in common: what the owner orders, what the machine gets, and how small media are made."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from photonbuild.errors import SandboxError, VerifyError
from photonbuild.images.format import Bus
from photonbuild.machines.drive import Drive
from photonbuild.machines.qemu import HOST_SEEN_BY_GUEST, NAMESERVER_SEEN_BY_GUEST, one_time_key
from photonbuild.sandbox.sandbox import Bind, Sandbox

# What QEMU gives the first network card.
MAC = "52:54:00:12:34:56"


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the owner of a machine asks of the cloud. `login` is the private key; `mark` is a word in the user data."""

    hostname: str
    user: str
    login: Path
    public_key: str
    identity: uuid.UUID
    mark: str

    @property
    def user_data(self) -> str:
        """Root is let in as well: the checks need it. The default user gets the key without a word."""
        return f"#cloud-config\n# {self.mark}\ndisable_root: false\n"


@contextlib.contextmanager
def order(user: str) -> Iterator[Order]:
    """An order with a one-time key, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="photonbuild-") as folder:
        key = one_time_key(Path(folder))
        word = secrets.token_hex(4)
        yield Order(
            hostname=f"guest-{word}",
            user=user,
            login=key,
            public_key=key.with_suffix(".pub").read_text(encoding="utf-8").strip(),
            identity=uuid.uuid4(),
            mark=f"mark-{secrets.token_hex(8)}",
        )


@dataclass(frozen=True, kw_only=True)
class Service:
    """What the machine is given. `seen` grows with each request that a server answered: method, path and status."""

    drives: Sequence[Drive] = ()
    smbios: Sequence[str] = ()
    network: Sequence[str] = ()
    options: Sequence[str] = ()
    host: str = HOST_SEEN_BY_GUEST
    nameserver: str = NAMESERVER_SEEN_BY_GUEST
    seen: Sequence[str] = ()
    addresses: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Access:
    """One machine's way in: `platform` and cloud-init's name for it, the order, and what it was given for it."""

    platform: str
    datasource: str
    order: Order
    service: Service

    def facts(self) -> dict[str, Any]:
        """What the checks compare the machine with; `seen` is what was asked of the cloud so far."""
        return {
            "platform": self.platform,
            "datasource": self.datasource,
            "hostname": self.order.hostname,
            "user": self.order.user,
            "public_key": self.order.public_key,
            "mark": self.order.mark,
            "addresses": list(self.service.addresses),
            "seen": list(self.service.seen),
        }


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """Where media are made: a folder of its own, and xorriso of the machine seed."""

    seed: Path
    scratch: Path
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __enter__(self) -> Workshop:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def cd(self, label: str, files: Mapping[str, str]) -> Drive:
        """A CD (ISO 9660 with Rock Ridge and Joliet) of text files, plugged in as one. Raises VerifyError."""
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="photonbuild-")))
        (folder / "cd").mkdir()
        (folder / "scratch").mkdir()
        for name, text in files.items():
            (folder / "cd" / name).write_text(text, encoding="utf-8")
        sandbox = Sandbox(layers=[self.seed], scratch=folder / "scratch", binds=[Bind(folder, "/work", readonly=False)])
        argv = ["xorriso", "-as", "mkisofs", "-quiet", "-V", label, "-J", "-r", "-o", "/work/cd.iso", "/work/cd"]
        try:
            sandbox.run(argv, error=VerifyError)
        except (SandboxError, VerifyError) as error:
            raise VerifyError(
                f"the medium '{label}' cannot be made: {error.message}", detail=error.detail, hint=error.hint
            ) from None
        return Drive(file=folder / "cd.iso", format="raw", bus="cd")


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """A platform: cloud-init's name for its data source, and who serves an order. `user`: whom it names itself.

    `bus`: how it plugs disks in, where the image's format does not say it.
    """

    datasource: str
    serve: Callable[[Order, Workshop], AbstractContextManager[Service]]
    user: str | None = None
    bus: Bus | None = None
