"""What programs on the host are started with."""

from __future__ import annotations

import pytest

from photonbuild.run import run


def test_a_program_gets_nothing_of_the_callers_environment_but_what_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("LD_PRELOAD", "")
    monkeypatch.setenv("LC_ALL", "tr_TR.UTF-8")
    monkeypatch.setenv("https_proxy", "http://proxy.test:1")
    words = dict(line.partition("=")[::2] for line in run(["env"], env={"MORE": "1"}).stdout.splitlines())
    assert not words.keys() & {"AWS_SECRET_ACCESS_KEY", "LD_PRELOAD"}
    assert (words["LC_ALL"], words["TZ"], words["MORE"]) == ("C.UTF-8", "UTC", "1")
    assert words["https_proxy"] == "http://proxy.test:1"
