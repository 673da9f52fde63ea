"""What an installation can fail of, one exit code for each class. The numbers are the families of the whole project."""

from __future__ import annotations

from photonbuild.errors import ConfigError, ImageError, Interrupted, SandboxError, SolveError, SourceError, StoreError


class KickstartError(ConfigError):
    """2: a kickstart or a command line that is wrong."""


class FetchError(SourceError):
    """4: a kickstart, file or package that is not to be had, or is not the one that was promised."""


class MachineError(SandboxError):
    """5: rights, programs or file systems that the live system lacks."""


class PackageError(SolveError):
    """7: packages that no repository has or that cannot be installed together."""


class StepError(ImageError):
    """8: a step of the installation that failed."""


class DiskError(StoreError):
    """10: a disk that is not there, in use or too small."""


class Declined(Interrupted):
    """130: whoever was asked said no, or the installer was stopped."""
