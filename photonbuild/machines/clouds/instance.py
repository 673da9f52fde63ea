"""One instance of a cloud: what its owner asks for, what the platform gives the machine, and how CDs are made."""

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
from photonbuild.machines.hardware import HOST_SEEN_BY_GUEST, NAMESERVER_SEEN_BY_GUEST
from photonbuild.machines.ssh import one_time_key
from photonbuild.sandbox.sandbox import Bind, Sandbox

# What QEMU gives the first network card.
MAC = "52:54:00:12:34:56"


@dataclass(frozen=True, kw_only=True)
class InstanceSpec:
    """What the owner asks of the cloud. `private_key` is a file; `marker` is a word that is only in the user data.

    `image` is the published file that the machine is made of.
    """

    image: Path
    hostname: str
    user: str
    private_key: Path
    public_key: str
    uuid: uuid.UUID
    marker: str

    @property
    def user_data(self) -> str:
        """Root is let in as well: the checks need it. The default user gets the key without being named here."""
        return f"#cloud-config\n# {self.marker}\ndisable_root: false\n"


@contextlib.contextmanager
def new_instance(image: Path, user: str) -> Iterator[InstanceSpec]:
    """A random instance of `image` with a one-time key, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="photonbuild-") as folder:
        key = one_time_key(Path(folder))
        word = secrets.token_hex(4)
        yield InstanceSpec(
            image=image,
            hostname=f"guest-{word}",
            user=user,
            private_key=key,
            public_key=key.with_suffix(".pub").read_text(encoding="utf-8").strip(),
            uuid=uuid.uuid4(),
            marker=f"mark-{secrets.token_hex(8)}",
        )


@dataclass(frozen=True, kw_only=True)
class Provisioning:
    """What the platform gives the machine: drives, SMBIOS values, options of QEMU's user network, words of its argv.

    `host` and `nameserver` are addresses that the guest sees. `addresses` are static ones of the network configuration.
    `mtu` is what the platform says that its network takes. `requests` grows with each that a server of the platform
    answered: method, path and status.
    """

    drives: Sequence[Drive] = ()
    smbios: Sequence[str] = ()
    network: Sequence[str] = ()
    options: Sequence[str] = ()
    host: str = HOST_SEEN_BY_GUEST
    nameserver: str = NAMESERVER_SEEN_BY_GUEST
    mtu: int = 1500
    requests: Sequence[str] = ()
    addresses: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class MetadataService:
    """A platform that serves one instance: its name, cloud-init's name of its data source, and what it serves."""

    platform: str
    datasource: str
    instance: InstanceSpec
    provisioning: Provisioning

    def facts(self) -> dict[str, Any]:
        """What the checks compare the machine with; `requests` are those made so far."""
        return {
            "platform": self.platform,
            "datasource": self.datasource,
            "hostname": self.instance.hostname,
            "user": self.instance.user,
            "public_key": self.instance.public_key,
            "marker": self.instance.marker,
            "addresses": list(self.provisioning.addresses),
            "mtu": self.provisioning.mtu,
            "requests": list(self.provisioning.requests),
        }


@dataclass(frozen=True, kw_only=True)
class MediaBuilder:
    """Makes CDs with xorriso of the machine seed; they are gone when its block ends."""

    seed: Path
    scratch: Path
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __enter__(self) -> MediaBuilder:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def cd(self, label: str, files: Mapping[str, str]) -> Drive:
        """A CD (ISO 9660 with Rock Ridge and Joliet) of text files, plugged in as one. Raises VerifyError."""
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="photonbuild-")))
        (folder / "cd").mkdir()
        (folder / "scratch").mkdir()
        for name, text in files.items():
            path = folder / "cd" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
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
    """A platform: cloud-init's name of its data source, and what serves an instance. `user`: its own default user.

    `bus`: how it plugs disks in, where the image's format does not say it.
    """

    datasource: str
    serve: Callable[[InstanceSpec, MediaBuilder], AbstractContextManager[Provisioning]]
    user: str | None = None
    bus: Bus | None = None
