"""What is said of errors when a command ends."""

from __future__ import annotations

import pytest

from photonbuild.errors import BuildError, RemoteError, StoreError
from photonbuild.log import Reporter


def refused() -> RemoteError:
    return RemoteError("the engine is full", where="grpc://engine", hint="another day", detail="no room")


def test_what_befell_many_is_said_once(capfd: pytest.CaptureFixture[str]) -> None:
    broken = BuildError("zlib does not build", where="specs/zlib/zlib.spec")
    assert Reporter().last_of([refused(), broken, refused(), refused()]) is broken
    said = capfd.readouterr().err
    assert said.count("the engine is full") == said.count("error: ") == 1


def test_an_error_that_differs_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    other = RemoteError("the engine is full", where="grpc://engine", hint="another day", detail="no more room")
    assert Reporter().last_of([refused(), other]) is other
    assert capfd.readouterr().err.count("error: ") == 1


def test_a_full_disk_counts_most(capfd: pytest.CaptureFixture[str]) -> None:
    full = StoreError("the disk is full")
    assert Reporter().last_of([full, refused()]) is full
    assert capfd.readouterr().err == ""
