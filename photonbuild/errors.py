"""The error root and its families. Each family has its own exit code; only the CLI exits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self


class PhotonbuildError(Exception):
    """An error that a user can act on: what happened, where, and the next step.

    `message`: lower case, no final stop. `where`: a file, `file:line`, or a package. `hint`: the next step.
    `detail`: text of another program, printed as it is.
    """

    exit_code = 1

    def __init__(
        self, message: str, *, where: str | None = None, hint: str | None = None, detail: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint
        self.detail = detail

    @classmethod
    def of(cls, reasons: Sequence[str], many: str, *, where: str | None = None, hint: str | None = None) -> Self:
        """For one or more `reasons`: the only one, or how many `many` there are, with all of them as detail."""
        if len(reasons) == 1:
            return cls(reasons[0], where=where, hint=hint)
        return cls(f"{len(reasons)} {many}", where=where, hint=hint, detail="\n".join(reasons))

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class ConfigError(PhotonbuildError):
    """Command line or configuration."""

    exit_code = 2


class SpecError(PhotonbuildError):
    """A spec that cannot be read, or a build graph that has no order."""

    exit_code = 3


class SourceError(PhotonbuildError):
    """A source that no provider yields with the locked digest."""

    exit_code = 4


class SandboxError(PhotonbuildError):
    """Namespaces, mounts, rights."""

    exit_code = 5


class BuildError(PhotonbuildError):
    """A package that does not build, or whose result breaks a rule."""

    exit_code = 6


class SolveError(PhotonbuildError):
    """A package set that has no solution, or a repository that cannot be made."""

    exit_code = 7


class ImageError(PhotonbuildError):
    """Root file system or image."""

    exit_code = 8


class VerifyError(PhotonbuildError):
    """An image that does not boot or fails a check."""

    exit_code = 9


class StoreError(PhotonbuildError):
    """The store, locks and disk space."""

    exit_code = 10


class RemoteError(PhotonbuildError):
    """An engine of remote execution, or a worker of it: not reached, refusing, or giving what cannot be used."""

    exit_code = 11


class Interrupted(PhotonbuildError):
    """Ctrl-C or SIGTERM."""

    exit_code = 130
