"""The lock of storage that knows no processes: one holder, and one that is gone is succeeded."""

from __future__ import annotations

import threading

import pytest

from photonbuild.errors import StoreError
from photonbuild.storage import lease
from photonbuild.storage.lease import held


class Memory:
    """An object that is written only over a known version."""

    def __init__(self) -> None:
        self.version, self.data = 0, b""
        self.there = False
        self.guard = threading.Lock()

    def read_lease(self) -> tuple[str, bytes] | None:
        with self.guard:
            return (str(self.version), self.data) if self.there else None

    def write_lease(self, data: bytes, *, over: str | None) -> str | None:
        with self.guard:
            if over != (str(self.version) if self.there else None):
                return None
            self.version, self.data, self.there = self.version + 1, data, True
            return str(self.version)

    def drop_lease(self, version: str) -> None:
        with self.guard:
            self.there = self.there and str(self.version) != version


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("LEASE", 1.0), ("RENEW", 0.1), ("PAUSE", 0.05)):
        monkeypatch.setattr(lease, name, seconds)


def test_a_second_holder_is_refused_while_the_first_lives() -> None:
    memory = Memory()
    with held(memory, "there"), pytest.raises(StoreError, match="another publisher is at work"), held(memory, "there"):
        pass
    assert not memory.there
    with held(memory, "there") as keeper:
        keeper.confirm()


def test_one_that_is_gone_is_succeeded() -> None:
    memory = Memory()
    memory.write_lease(b"of a publisher that was killed", over=None)
    with held(memory, "there"):
        assert b"token" in memory.data


def test_who_slept_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW", 60.0)
    memory = Memory()
    with held(memory, "there") as sleeper, held(memory, "there"):
        with pytest.raises(StoreError, match="another publisher has taken over"):
            sleeper.confirm()
        assert sleeper.lost


def test_of_many_at_once_one_has_it() -> None:
    memory, inside, most, refused = Memory(), 0, 0, []
    guard, stay = threading.Lock(), threading.Event()

    def one() -> None:
        nonlocal inside, most
        try:
            with held(memory, "there"):
                with guard:
                    inside += 1
                    most = max(most, inside)
                stay.wait(0.5)
                with guard:
                    inside -= 1
        except StoreError as error:
            refused.append(error)

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1 and len(refused) >= 1
