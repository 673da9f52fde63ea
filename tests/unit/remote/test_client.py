"""The client of the Remote Execution API against a server whose faults are chosen."""

from __future__ import annotations

import ast
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from photonbuild import code
from photonbuild.cache.places import open_place
from photonbuild.config.cache import UserAddress
from photonbuild.errors import ConfigError, Interrupted, RemoteError, StoreError
from photonbuild.remote import connection
from photonbuild.remote.actions import Again, Result
from photonbuild.remote.blobs import LostBlob
from photonbuild.remote.cache import EnginePlace
from photonbuild.remote.digest import Blob, Digest, digest_of
from photonbuild.remote.endpoint import endpoint
from photonbuild.remote.engine import Engine, engine
from photonbuild.remote.proto import bytestream_pb2 as stream
from photonbuild.remote.proto import remote_execution_pb2 as messages
from photonbuild.remote.tree import Input, files_of, input_root
from tests.unit.remote.fake import Server, nothing, serve

LARGE = os.urandom(5 << 20)
FAILED_PRECONDITION, UNAVAILABLE, DEADLINE = 9, 14, 4


def run(found: Engine, priority: float = 0.0) -> Result:
    return found.actions.run(nothing(), priority=priority, keep=lambda result: None)


def test_small_and_large_blobs_come_back(server: Server, found: Engine, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(LARGE)
    sent = [Blob.of(b"small"), Blob.of(b""), Blob.file(tmp_path / "large")]
    found.blobs.upload(sent)
    found.blobs.upload(sent)
    assert server.calls.count("Write") == 1 and server.calls.count("BatchUpdateBlobs") == 1
    assert found.blobs.read(sent[0].digest) == b"small" and found.blobs.read(sent[1].digest) == b""
    found.blobs.fetch(sent[2].digest, tmp_path / "home")
    assert (tmp_path / "home").read_bytes() == LARGE
    assert found.connection.traffic.up == len(LARGE) + 5


def test_many_small_blobs_fit_into_messages(server: Server, found: Engine) -> None:
    sent = [Blob.of(bytes([number]) * 100_000) for number in range(30)]
    found.blobs.upload(sent)
    assert server.calls.count("BatchUpdateBlobs") > 1
    assert found.blobs.read_all([blob.digest for blob in sent]) == {blob.digest: blob.data for blob in sent}


def test_a_blob_that_many_want_to_send_is_sent_once(server: Server, found: Engine) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: found.blobs.upload([Blob.of(LARGE)]), range(8)))
    assert server.calls.count("Write") == 1


def test_streams_are_taken_up(server: Server, found: Engine, tmp_path: Path) -> None:
    server.faults = [("Write", "half")]
    found.blobs.upload([Blob.of(LARGE)])
    assert server.calls.count("QueryWriteStatus") == 1
    server.faults = [("Read", "half"), ("Read", "half")]
    found.blobs.fetch(Blob.of(LARGE).digest, tmp_path / "home")
    assert (tmp_path / "home").read_bytes() == LARGE
    assert [call for call in server.calls if call.startswith("Read")] == ["Read 0", "Read 262144", "Read 524288"]


@pytest.mark.parametrize("data", [b"small", LARGE])
def test_other_bytes_are_never_used(server: Server, found: Engine, tmp_path: Path, data: bytes) -> None:
    blob = Blob.of(data)
    server.blobs[blob.digest.hash] = data[:-1] + b"?"
    with pytest.raises(LostBlob, match="other bytes"):
        found.blobs.fetch(blob.digest, tmp_path / "home")
    assert list(tmp_path.iterdir()) == []


def test_no_more_is_fetched_than_a_blob_has(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = 0

    def endless(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        nonlocal sent
        while context.is_active():
            sent += 1
            yield stream.ReadResponse(data=bytes(1 << 20))

    monkeypatch.setattr(server, "Read", endless)
    with serve(server) as address, engine(endpoint(address)) as found, pytest.raises(LostBlob, match="other bytes"):
        found.blobs.fetch(Digest("0" * 64, 5 << 20), tmp_path / "home")
    assert sent < 200 and list(tmp_path.iterdir()) == []


def test_what_is_lost_is_said(found: Engine, tmp_path: Path) -> None:
    for digest in (Digest("0" * 64, 5), Digest("0" * 64, 50 << 20)):
        with pytest.raises(LostBlob, match="has lost a blob"):
            found.blobs.fetch(digest, tmp_path / "home")


def test_the_action_cache_is_asked_first(server: Server, found: Engine) -> None:
    run(found)
    assert server.calls.index("GetActionResult") < server.calls.index("Execute")
    server.results[nothing().digest.hash] = messages.ActionResult(exit_code=0)
    server.calls.clear()
    assert run(found).cached and "Execute" not in server.calls and "FindMissingBlobs" not in server.calls


def test_higher_goes_first(server: Server, found: Engine) -> None:
    run(found, priority=12.4)
    assert server.priorities == [-12]


def test_a_result_names_its_worker(found: Engine) -> None:
    result = run(found)
    assert (result.worker, result.stdout, result.code) == ("ada", b"hello", 0)


def test_tried_again_where_that_helps(server: Server, found: Engine) -> None:
    server.faults = [("Execute", UNAVAILABLE), ("Execute", UNAVAILABLE), ("Execute", UNAVAILABLE)]
    assert run(found).code == 0 and server.calls.count("Execute") == 4


def test_at_most_three_times(server: Server, found: Engine) -> None:
    server.faults = [("Execute", UNAVAILABLE)] * 9
    with pytest.raises(RemoteError, match="in 4 tries"):
        run(found)
    assert server.calls.count("Execute") == 4


@pytest.mark.parametrize("plain", [False, True])
def test_what_is_lost_is_sent_again(server: Server, found: Engine, plain: bool) -> None:
    server.plain = plain
    found.blobs.upload(nothing().blobs)
    server.blobs.clear()
    server.faults = [("Execute", FAILED_PRECONDITION)]
    run(found)
    assert {blob.digest.hash for blob in nothing().blobs if blob.digest.size} <= server.blobs.keys()


@pytest.mark.parametrize("plain", [False, True])
def test_a_bound_that_was_reached_is_final(server: Server, found: Engine, plain: bool) -> None:
    server.plain = plain
    server.faults = [("Execute", DEADLINE)]
    assert run(found).timed_out and server.calls.count("Execute") == 1


def test_an_answer_that_breaks_off_is_taken_up(server: Server, found: Engine) -> None:
    server.faults = [("Execute", grpc.StatusCode.UNAVAILABLE)]
    run(found)
    assert server.calls.count("WaitExecution") == 1 and server.calls.count("Execute") == 1


@pytest.mark.parametrize("method", ["Execute", "WaitExecution"])
def test_an_engine_that_is_gone_for_good_is_given_up(
    server: Server, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(connection, "SECONDS", 0.2)
    server.faults = [("Execute", grpc.StatusCode.UNAVAILABLE)] if method == "WaitExecution" else []
    server.faults.append((method, "gone"))
    with (
        ThreadPoolExecutor(1) as pool,
        serve(server) as address,
        engine(endpoint(address)) as found,
        pytest.raises(RemoteError, match=r"cannot be reached|did not answer in time"),
    ):
        pool.submit(run, found).result(60)


def test_an_engine_that_has_forgotten_is_asked_anew(server: Server, found: Engine) -> None:
    server.faults = [("Execute", grpc.StatusCode.UNAVAILABLE), ("WaitExecution", grpc.StatusCode.NOT_FOUND)]
    run(found)
    assert server.calls.count("Execute") == 2


def test_a_workers_own_trouble_is_tried_elsewhere(server: Server, found: Engine) -> None:
    troubles = ["no room"]

    def keep(result: Result) -> None:
        if troubles:
            raise Again(f"worker {result.worker}: {troubles.pop()}")

    said: list[str] = []
    found.actions.run(nothing(), priority=0, keep=keep, said=said.append)
    assert said == ["worker ada: no room; tried again"]


def test_refusals_are_final_and_say_what_to_do(server: Server, found: Engine) -> None:
    server.faults = [("FindMissingBlobs", grpc.StatusCode.PERMISSION_DENIED)]
    with pytest.raises(RemoteError, match="refuses this client") as error:
        run(found)
    assert error.value.hint and error.value.exit_code == 11


def test_what_a_server_must_offer(server: Server) -> None:
    server.executes = False
    with serve(server) as address:
        with pytest.raises(RemoteError, match="cache only"), engine(endpoint(address)):
            pass
        with engine(endpoint(address), execution=False):
            pass
        server.version = 3
        with pytest.raises(RemoteError, match="versions 3 to 3"), engine(endpoint(address), execution=False):
            pass


def test_closing_ends_what_waits(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PAUSES", (60.0, 60.0, 60.0))
    server.faults = [("FindMissingBlobs", grpc.StatusCode.UNAVAILABLE)] * 4
    with serve(server) as address, engine(endpoint(address)) as found:
        threading.Timer(0.2, found.connection.close).start()
        with pytest.raises(Interrupted):
            run(found)


def test_programs_of_workers_need_no_library() -> None:
    """They run with whatever Python a worker has."""
    for name in code.closure(["photonbuild.packages.worker"]):
        for node in ast.walk(ast.parse(code.modules()[name].read_text(encoding="utf-8"))):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for imported in filter(None, names):
                assert imported.split(".")[0] in {*sys.stdlib_module_names, "photonbuild"}, f"{name}: {imported}"


def test_input_roots_do_not_depend_on_order() -> None:
    files = {name: Input(blob=Blob.of(name.encode())) for name in ("b/c/d", "a", "b/a", "z", "b/c/a")}
    one, two = input_root(files), input_root(dict(reversed(files.items())))
    assert one == two and len(one[1]) == 3
    assert input_root({**files, "a": Input(blob=Blob.of(b"a"), executable=True)})[0] != one[0]


def test_trees_are_read_and_links_refused() -> None:
    tree = messages.Tree()
    tree.root.files.add(name="plain").digest.hash = "1" * 64
    tree.root.files.add(name="../up").digest.hash = "1" * 64
    with pytest.raises(RemoteError, match=r"'\.\./up'"):
        files_of(tree.SerializeToString())
    del tree.root.files[1]
    assert files_of(tree.SerializeToString()) == {"plain": Digest("1" * 64, 0)}
    tree.root.symlinks.add(name="link", target="/etc/passwd")
    with pytest.raises(RemoteError, match="symbolic link"):
        files_of(tree.SerializeToString())


def test_what_is_no_tree_is_refused() -> None:
    with pytest.raises(RemoteError, match="no tree of files"):
        files_of(b"\xff\xff")
    tree = messages.Tree()
    below = messages.Directory()
    for _ in range(8):
        tree.children.append(below)
        digest = digest_of(below.SerializeToString(deterministic=True))
        below = messages.Directory()
        for number in range(50):
            node = below.directories.add(name=str(number)).digest
            node.hash, node.size_bytes = digest
    tree.root.CopyFrom(below)
    with pytest.raises(RemoteError, match="more than 10000 files and folders"):
        files_of(tree.SerializeToString())


@pytest.mark.parametrize(
    "address",
    ["http://host:1", "host:1", "grpc://", "grpcs://user:word@host:1", "grpc://host:1?a=b"],
)
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(ConfigError):
        endpoint(address)


def test_secrets(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("hush\n")
    token.chmod(0o644)
    with pytest.raises(ConfigError, match="others may read"):
        endpoint("grpcs://host:1", token_file=token)
    token.chmod(0o600)
    assert "hush" not in repr(endpoint("grpcs://host:1/main", token_file=token))
    with pytest.raises(ConfigError, match="not encrypted"):
        endpoint("grpc://host:1", token_file=token)
    with pytest.raises(ConfigError, match="belong together"):
        endpoint("grpcs://host:1", certificate=token)


def test_a_token_is_read_for_each_call(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one\n")
    token = connection.bearer(file)
    said: list[Any] = []
    file.write_text("two\n")
    token(None, lambda metadata, error: said.append((metadata, error)))
    assert said == [((("authorization", "Bearer two"),), None)]
    file.unlink()
    token(None, lambda metadata, error: said.append(error))
    assert isinstance(said[-1], ConfigError) and said[-1].where == str(file)


@pytest.mark.parametrize("text", ["hush\nhush", "hush hush", "h\u00fcsh", "\n"])
def test_what_is_no_token_is_not_repeated(tmp_path: Path, text: str) -> None:
    """As part of a header it would be refused by a client that says what it refuses."""
    (tmp_path / "token").write_text(text, encoding="utf-8")
    (tmp_path / "token").chmod(0o600)
    with pytest.raises(ConfigError, match="this is no bearer token") as caught:
        connection.Connection(endpoint("grpcs://host:1", token_file=tmp_path / "token"))
    assert "hush" not in f"{caught.value} {caught.value.hint} {caught.value.detail}"
    web = UserAddress(name="a", url="https://x/y", token_file=str(tmp_path / "token"))
    with pytest.raises(ConfigError, match="this is no bearer token"):
        open_place(web, tmp_path)


def test_files_by_path(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(LARGE)
    server.executes = False
    with serve(server) as address, engine(endpoint(address), execution=False) as found:
        place = EnginePlace(engine=found)
        assert place.read("a/b") is None and not place.has("a/b") and not place.get("a/b", tmp_path / "home", 1)
        place.put(tmp_path / "file", "a/b")
        assert place.has("a/b") and place.read("a/b") == LARGE
        assert place.get("a/b", tmp_path / "home", len(LARGE)) and (tmp_path / "home").read_bytes() == LARGE
        assert place.get("a/b", tmp_path / "home", 7) and (tmp_path / "home").read_bytes() == b""
        with pytest.raises(StoreError, match="more than 4 MiB"):
            EnginePlace(engine=found, most=4 << 20).read("a/b")
        server.blobs.clear()
        assert place.read("a/b") is None and not place.has("a/b")
        server.faults = [("GetActionResult", grpc.StatusCode.PERMISSION_DENIED)]
        with pytest.raises(StoreError, match="refuses"):
            place.read("a/b")
