"""Errors of pico, with the exit codes of ``docker run``: 125 ours, 126 cannot be run, 127 not found."""

from __future__ import annotations

from photonbuild.errors import PhotonbuildError


class PicoError(PhotonbuildError):
    """The machine could not be made, or is not there."""

    exit_code = 125


class QmpError(PicoError):
    """QEMU refused a command, or is gone."""


class CannotRunError(PicoError):
    """The command is there, but it cannot be executed."""

    exit_code = 126


class NotFoundError(PicoError):
    """The image has no such command."""

    exit_code = 127
