"""Where one call of pico works: its folder, the builder behind it, and what is found out with both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pico.builder import Builder

if TYPE_CHECKING:
    from pico.oci.store import Image
    from pico.vm.host import Host


@dataclass(frozen=True, kw_only=True)
class Context:
    """`folder` holds machines, images and templates; `kernel` is None for the one that ``make pico`` has made."""

    folder: Path
    builder: Builder
    kernel: Path | None = None

    def host(self) -> Host:
        """What this host runs machines with. Raises PicoError, ConfigError."""
        from pico.vm.host import find_host

        return find_host(self.builder, self.folder, self.kernel)

    def image(self, text: str, *, pull: str = "missing", verify_tls: bool = True) -> Image:
        """The image that a reference means, ready to run; `pull` as in `resolve`. Raises PicoError."""
        from pico.oci import reference
        from pico.oci.resolve import resolve

        return resolve(self.folder, reference.parse(text), self.builder, pull=pull, verify_tls=verify_tls)
