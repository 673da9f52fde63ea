"""What the steps that make an image have in common: the tools, a folder, rpm's macros, a time and a log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from photonbuild.sandbox.sandbox import Bind, Sandbox


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """Where programs run and with what. `seed`: the root of tools; `macros`: files of rpm macros, for /etc/rpm.

    `folder` is an existing directory for one step alone, which programs see as /work. `epoch`: the time that files get,
    and SOURCE_DATE_EPOCH.
    """

    seed: Path
    macros: Sequence[Path]
    epoch: int
    log: Path
    folder: Path

    def subfolder(self, name: str) -> Workspace:
        """The same in the new folder `name` of this one's."""
        folder = self.folder / name
        folder.mkdir()
        return replace(self, folder=folder)

    def sandbox(
        self,
        *,
        layers: Sequence[Path] = (),
        binds: Sequence[Bind] = (),
        env: Mapping[str, str] | None = None,
        hostname: str = "builder",
        target: str | None = None,
    ) -> Sandbox:
        """A root of `layers`, or of the seed, with the folder at /work."""
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        return Sandbox(
            layers=layers or (self.seed,),
            scratch=scratch,
            binds=(Bind(source=self.folder, target="/work", readonly=False), *binds),
            env={"SOURCE_DATE_EPOCH": str(self.epoch), **(env or {})},
            hostname=hostname,
            target=target,
        )

    @property
    def macro_binds(self) -> Sequence[Bind]:
        return [Bind(source=path, target=f"/etc/rpm/{path.name}") for path in self.macros]
