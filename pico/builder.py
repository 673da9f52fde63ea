"""All that pico needs of the builder: a checkout's settings and boot files, its seeds, its store.

Importing this takes no time. The builder itself is imported, and its configuration read, at the first question.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from photonbuild.paths import default_store

if TYPE_CHECKING:
    from photonbuild.machines.qemu import Machine
    from photonbuild.pipeline.session import Session
    from photonbuild.sandbox.sandbox import Sandbox
    from pico.settings import PicoSettings


class Builder:
    """The builder of the checkout `root` with the store at the path `store`; with `events` it talks JSON.

    Raises PhotonbuildError.
    """

    def __init__(self, root: Path, store: Path, *, offline: bool = False, events: bool = False) -> None:
        self.root, self.store, self.offline, self.events = root, store, offline, events

    @cached_property
    def _session(self) -> Session:
        from photonbuild.log import Reporter
        from photonbuild.pipeline.configuration import load_config
        from photonbuild.pipeline.session import Session
        from photonbuild.store import Store

        config = load_config(self.root, store=self.store, offline=self.offline)
        store = Store.open(self.store)
        return Session(config=config, store=store, reporter=Reporter(events=self.events), offline=self.offline)

    @cached_property
    def settings(self) -> PicoSettings:
        """``build/pico.yaml``."""
        from photonbuild.config import validation
        from pico.settings import PicoSettings

        roots = self._session.config.roots
        path = roots.find("build/pico.yaml")
        return validation.load(path, PicoSettings, name=roots.where(path))

    @property
    def kernel(self) -> Path:
        """Where ``make pico`` leaves the kernel, and beside it the other boot files."""
        config = self._session.config
        return config.stage_dir / "images" / f"{config.distribution.prefix}-pico.vmlinux"

    @property
    def machine_seed(self) -> Path:
        """The root file system with QEMU, skopeo and busybox, made now when there is none."""
        return self._session.machine_seed.root

    @property
    def machine_seed_digest(self) -> str:
        return self._session.machine_seed.digest

    def has_kvm(self) -> bool:
        """Do guests of the machine seed's QEMU really run with KVM here?"""
        from photonbuild.machines.acceleration import best_accel
        from photonbuild.machines.hardware import TCG

        return best_accel(self.machine_seed, self._session.store.scratch) != TCG

    def staging(self) -> contextlib.AbstractContextManager[Path]:
        """A folder of the store that is gone afterwards."""
        return self._session.store.staging()

    def sandbox(
        self,
        seed: Literal["build", "machine"],
        *,
        writable: Mapping[str, Path],
        readonly: Mapping[str, Path] | None = None,
        env: Mapping[str, str] | None = None,
        network: bool = False,
        hostname: str = "builder",
    ) -> Sandbox:
        """Where the programs of a seed run; folders and files of this host by their paths inside."""
        from photonbuild.sandbox.sandbox import Bind, Sandbox

        root = self._session.seed.root if seed == "build" else self.machine_seed
        binds = [Bind(source=source, target=target, readonly=False) for target, source in writable.items()]
        binds += [Bind(source=source, target=target) for target, source in (readonly or {}).items()]
        return Sandbox(
            layers=[root],
            scratch=self._session.store.scratch,
            binds=binds,
            env=env or {},
            network=network,
            hostname=hostname,
        )

    def certificates(self) -> Path | None:
        """This host's certificate authorities."""
        from photonbuild.sources.certificates import host_certificates

        return host_certificates()

    @contextlib.contextmanager
    def booted(self, image: Path) -> Iterator[Machine]:
        """A machine that runs an image of the distribution."""
        from photonbuild.machines.drive import boot_drive
        from photonbuild.machines.hardware import Hardware
        from photonbuild.machines.qemu import Machine

        with (
            boot_drive(image) as drive,
            Machine(Hardware(boot_drive=drive), seed=self.machine_seed, scratch=self._session.store.scratch) as machine,
        ):
            yield machine

    def say(self, text: str) -> None:
        """Tell the user what is under way."""
        self._session.reporter.info(text)


def store_path() -> Path:
    """The store that the user's configuration names, else the default one."""
    base = os.environ.get("XDG_CONFIG_HOME")
    if ((Path(base) if base else Path.home() / ".config") / "photonbuild.yaml").exists():
        from photonbuild.config.load import load_user

        return load_user().store_path or default_store()
    return default_store()
