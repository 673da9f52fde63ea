"""What the guest could not do, as exceptions."""

from __future__ import annotations

from pico.guest.protocol import Frame, ProtocolError


class GuestError(ProtocolError):
    """What the guest could not do, or that it is gone. `what` is the request, `code` the guest's name of the error."""

    def __init__(self, message: str, *, what: str = "", code: str = "", process: int = 0, detail: str = "") -> None:
        super().__init__(message, detail=detail or None)
        self.what, self.code, self.process = what, code, process


class GuestGoneError(GuestError):
    """The other end closed the connection: the machine has ended, or is not up yet."""


def printable(text: str) -> str:
    """A guest's text for a terminal of ours: nothing in it moves the cursor, or cannot be written."""
    return "".join(character if character.isprintable() else "?" for character in text)


def guest_error(frame: Frame) -> GuestError:
    """The exception for an ERROR frame."""
    fields = frame.fields
    return GuestError(
        printable(fields.get("message", "unknown error")),
        what=fields.get("what", ""),
        code=fields.get("code", ""),
        process=frame.process,
    )
