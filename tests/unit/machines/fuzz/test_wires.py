"""What a guest sends to the servers that a test machine reaches, and what lies beside an image: an answer or none."""

from __future__ import annotations

import contextlib
import json
import socket
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from photonbuild.errors import VerifyError
from photonbuild.machines.clouds import dhcp
from photonbuild.machines.manifest import read_manifest
from photonbuild.machines.qmp import Qmp
from photonbuild.machines.testnet import answer, now
from tests.support.fuzz import for_a_while, mutated

OPTIONS = {dhcp.MTU: b"\x05\xdc", dhcp.ROUTES: dhcp.routes(("169.254.169.254", "10.0.2.2"), ("0.0.0.0", "10.0.2.2"))}


@for_a_while
@given(st.one_of(mutated("dhcp"), st.binary(max_size=400)))
def test_a_frame(frame: bytes) -> None:
    changed = dhcp.with_options(frame, OPTIONS)
    assert len(changed) == len(frame)
    assert changed[: dhcp.ETHERNET] == frame[: dhcp.ETHERNET]


@for_a_while
@given(st.one_of(mutated("dns"), st.binary(max_size=80)), st.binary(max_size=60), st.integers(0, 1 << 32))
def test_datagrams(query: bytes, message: bytes, unix: int) -> None:
    reply = answer(query)
    assert reply is None or (reply[:2] == query[:2] and len(reply) <= len(query) + 16)
    stamp = now(message, unix)
    assert stamp is None or len(stamp) == 48


KEYS = st.sampled_from(
    ["platform", "configured", "packages", "name", "return", "error", "desc", "event", "data", "QMP"]
)
TREES = st.recursive(
    st.one_of(st.none(), st.integers(), st.text(max_size=6), st.floats()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(KEYS, inner, max_size=4),
    ),
    max_leaves=8,
)


@for_a_while
@given(st.one_of(TREES.map(lambda tree: json.dumps(tree).encode()), mutated("manifests")))
def test_a_manifest(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "x.iso")
        image.with_name("x.iso.manifest.json").write_bytes(data)
        with contextlib.suppress(VerifyError):
            found = read_manifest(image)
            assert found.packages is not None and all(isinstance(name, str) for name in found.packages)
            assert found.platform is None or isinstance(found.platform, str)


@for_a_while
@given(st.lists(st.one_of(TREES.map(lambda tree: json.dumps(tree).encode()), st.binary(max_size=20)), max_size=4))
def test_answers_of_a_machine(lines: list[Any]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"".join(line + b"\n" for line in lines))
        theirs.shutdown(socket.SHUT_WR)
        with contextlib.suppress(VerifyError):
            machine = Qmp(ours, timeout=1)
            machine.call("query-status")
            machine.wait_for_migration()
