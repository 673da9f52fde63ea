"""Where things are for one command. Imports the whole configuration only for what cannot do without."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from photonbuild.paths import checkout, default_store

if TYPE_CHECKING:
    from photonbuild.pipeline.session import Session
    from pico.host import Host
    from pico.images import Image


class Context:
    """Where things are for one call. `folder` is pico's own; `kernel` None for what ``make pico`` has made."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.root = Path(options.root).resolve() if options.root else checkout()
        self.store = Path(options.store) if options.store else self._store()
        self.folder = Path(options.folder).absolute() if options.folder else self.store / "pico"
        self.kernel = Path(options.kernel).absolute() if options.kernel else None
        self.offline: bool = options.offline
        self._session: Session | None = None

    def _store(self) -> Path:
        base = os.environ.get("XDG_CONFIG_HOME")
        if ((Path(base) if base else Path.home() / ".config") / "photonbuild.yaml").exists():
            from photonbuild.config.load import load_user

            return load_user().store_path or default_store()
        return default_store()

    def session(self) -> Session:
        """The whole configuration, for what cannot do without."""
        if self._session is None:
            from photonbuild.log import Reporter
            from photonbuild.pipeline.configuration import load_config
            from photonbuild.pipeline.session import Session
            from photonbuild.store import Store

            self._session = Session(
                config=load_config(self.root), store=Store.open(self.store), reporter=Reporter(), offline=self.offline
            )
        return self._session

    def host(self) -> Host:
        from pico.host import find_host

        return find_host(self.root, self.folder, self.kernel, self.session)

    def image(self, text: str, options: argparse.Namespace, *, pull: str = "missing") -> Image:
        from pico.find import find
        from pico.oci import reference

        return find(
            self.folder, reference.parse(text), self.session, pull=pull, verify_tls=options.tls_verify != "false"
        )
