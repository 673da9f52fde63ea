"""Consoles."""

from __future__ import annotations

import os
import threading

from photonbuild.installer.terminals import Terminals, console_names


def test_a_secret_is_not_echoed() -> None:
    master, slave = os.openpty()
    shown = b""

    def type_after_the_prompt() -> None:
        nonlocal shown
        while b"secret: " not in shown:
            shown += os.read(master, 100)
        os.write(master, b"pass word\n")

    typist = threading.Thread(target=type_after_the_prompt)
    typist.start()
    assert Terminals([(slave, slave)]).ask("secret: ", secret=True) == "pass word"
    typist.join()
    assert b"pass" not in shown + os.read(master, 100)
    os.close(slave)
    os.close(master)


def test_consoles() -> None:
    assert console_names("tty0 ttyS0\n") == ["/dev/tty1", "/dev/ttyS0"]
