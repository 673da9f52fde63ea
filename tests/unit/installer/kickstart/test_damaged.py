"""Kickstarts that nobody would write: each is refused in words, within seconds of a processor and without a trace."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

import pytest

from photonbuild.errors import ConfigError, PhotonbuildError
from photonbuild.installer.kickstart.model import Kickstart
from photonbuild.installer.kickstart.parse import parse
from photonbuild.installer.plan.make import make_plan
from photonbuild.installer.plan.steps import describe
from tests.support.installer import facts
from tests.support.mutations import mutations

ROOT = Path(__file__).parents[4]
SAMPLES = {path.name: path.read_bytes() for path in sorted((ROOT / "kickstarts").iterdir())}
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "too deeply"),
        ("disk: " + "[" * 100_000, "too deeply"),
        ('{"disk": ' + "[" * 100_000, "too deeply"),
        ('{"disk": ' + "[" * 400 + "]" * 400 + "}", "a device such as"),
        (BOMB, "its aliases stand for more than is reasonable"),
        ("disk: &a [*a]", "its aliases stand for more than is reasonable"),
        ("&a {disk: *a}", "its aliases stand for more than is reasonable"),
        ("services: &s {a: enabled}\ndisk: *s\n", "key 'disk': a device such as"),
        ('{"disk": "/dev/\\ud800"}', "half a character"),
        ('disk: /dev/a\npostinstall: ["\\ud800"]\n', "half a character"),
        ('{"partitions": [{"mountpoint": "/", "size": ' + "9" * 5000 + "}]}", "not valid JSON"),
        ("partitions:\n- mountpoint: /\n  size: " + "9" * 5000, "not valid YAML"),
        ('{"disk": "/dev/a", "partitions": [{"mountpoint": "/", "size": ' + "9" * 4000 + "}]}", "an integer from 0 to"),
        ('{"disk": NaN}', "a device such as"),
        ("!!python/object/apply:os.system [id]", "not valid YAML"),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
    ],
)
def test_what_is_out_of_bounds(text: str, message: str) -> None:
    started = time.process_time()
    with pytest.raises(ConfigError) as caught:
        parse(text, "ks")
    assert message in f"{caught.value}\n{caught.value.detail}"
    assert time.process_time() - started < 10


@pytest.mark.parametrize("seed", range(8))
def test_damaged_samples(seed: int) -> None:
    """What is accepted has a plan, or an error of ours; and all that is written can be written."""
    accepted = 0
    for text in mutations(list(SAMPLES.values()), seed, 60):
        found = checked(text.decode(errors="replace"))
        if found is None:
            continue
        accepted += 1
        with contextlib.suppress(PhotonbuildError):
            describe(make_plan(found, facts())).encode()
    assert accepted, "some changes are in comments and names"


def checked(text: str) -> Kickstart | None:
    try:
        return parse(text, "ks")
    except PhotonbuildError as error:
        assert type(error).__name__ in ("KickstartError", "ConfigError")
        str(error).encode()
        json.dumps(error.detail)
        return None
