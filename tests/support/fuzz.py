"""Fuzzing of parsers by Hypothesis: bytes that are mutations of a kept corpus, and values with a structure.

`FUZZ_SECONDS` in the environment is how long each target runs, with other examples every time: 600 in the matrix. Where
it is not set a target runs once, with the same examples each time. What is found is made small by Hypothesis; it
belongs into the corpus, tests/data/fuzz/NAME, from where every run begins.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

CORPUS = Path(__file__).resolve().parents[1] / "data" / "fuzz"
SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
if not SECONDS:
    # Hypothesis tries constants of the modules that happen to be loaded, too: other tests beside, other examples.
    nothing = Constants()
    providers._get_local_constants = lambda: nothing
# Bytes that parsers stumble over: ends, signs, digits, separators, and what makes numbers large.
SHARP = [
    b"\0",
    b"\xff",
    b"/",
    b".wh.",
    b"..",
    b"=",
    b"\n",
    b"0",
    b"9" * 30,
    b"-1",
    b"nan",
    b"\x80",
    b"\x7f\xff\xff\xff",
]


def seeds(name: str) -> list[bytes]:
    """The kept inputs of a target."""
    found = [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]
    assert found, f"no corpus of {name}"
    return found


@st.composite
def mutated(draw: st.DrawFn, name: str) -> bytes:
    """An input of the corpus with some bytes changed, added, taken away or repeated."""
    data = bytearray(draw(st.sampled_from(seeds(name))))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        what = draw(st.one_of(st.sampled_from(SHARP), st.binary(max_size=16)))
        match draw(st.integers(0, 3)):
            case 0:
                data[at : at + len(what)] = what
            case 1:
                data[at:at] = what
            case 2:
                del data[at : at + draw(st.integers(0, 600))]
            case _:
                piece = data[at : at + draw(st.integers(0, 1024))]
                data[at:at] = piece * draw(st.integers(1, 3))
    return bytes(data)


def for_a_while(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test of Hypothesis, and where there is time for it again and again, with other examples."""
    checked = settings(
        max_examples=100,
        deadline=None,
        database=None,
        derandomize=SECONDS == 0,
        # To explain a finding takes minutes.
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )(test)

    @functools.wraps(test)
    def run(*args: object, **kwargs: object) -> None:
        ends = time.monotonic() + SECONDS
        checked(*args, **kwargs)
        while time.monotonic() < ends:
            checked(*args, **kwargs)

    del run.__wrapped__
    return run
