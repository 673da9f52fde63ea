"""Actions: a command over an input root, asked for in the action cache, executed, tried again where that helps."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import grpc

from photonbuild.errors import RemoteError
from photonbuild.remote.blobs import Blobs, LostBlob, message
from photonbuild.remote.connection import AGAIN, PAUSES, Connection
from photonbuild.remote.digest import Blob, Digest, of_message
from photonbuild.remote.live import Live
from photonbuild.remote.proto import remote_execution_pb2 as messages
from photonbuild.remote.proto import remote_execution_pb2_grpc as services
from photonbuild.remote.tree import Input, files_of, input_root

MOST = (1 << 31) - 1  # of a priority
CODES = {code.value[0]: code for code in grpc.StatusCode}
# There is none, or it is damaged.
NO_RESULT = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INTERNAL, grpc.StatusCode.DATA_LOSS)
REFUSED = "if a build may take longer than an action there, bound it by limits: {hours:} in your own settings"
# What a worker says of itself when it could not do its work: another one may.
ELSEWHERE = frozenset({*AGAIN, grpc.StatusCode.INTERNAL, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNKNOWN})


@dataclass(frozen=True, kw_only=True)
class Action:
    """What an engine is asked to do. `digest` names it: two of the same digest are the same action."""

    digest: Digest
    blobs: tuple[Blob, ...]

    @property
    def digests(self) -> list[Digest]:
        return [blob.digest for blob in self.blobs]


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of an action: its exit code, its files by their paths, the worker. `stdout`: what it printed, errors
    included, as far as no file holds just that.

    `cached`: somebody had asked before. `timed_out`: it was stopped at its bound.
    """

    code: int
    files: Mapping[str, Digest]
    worker: str
    stdout: bytes
    cached: bool = False
    timed_out: bool = False


def action(
    arguments: Sequence[str],
    files: Mapping[str, Input],
    *,
    environment: Mapping[str, str],
    outputs: Sequence[str],
    platform: Mapping[str, str],
    seconds: int,
) -> Action:
    """A command in a folder with these files, which may take so many seconds and leaves the folders `outputs`."""
    root, folders = input_root(files)
    variable, pair = messages.Command.EnvironmentVariable, messages.Platform.Property
    where = messages.Platform(properties=[pair(name=name, value=value) for name, value in sorted(platform.items())])
    command = Blob.of(
        messages.Command(
            arguments=arguments,
            environment_variables=[variable(name=name, value=value) for name, value in sorted(environment.items())],
            output_paths=sorted(outputs),
            platform=where,
        ).SerializeToString(deterministic=True)
    )
    content = messages.Action(command_digest=message(command.digest), input_root_digest=message(root), platform=where)
    content.timeout.seconds = seconds
    itself = Blob.of(content.SerializeToString(deterministic=True))
    return Action(digest=itself.digest, blobs=(*(file.blob for file in files.values()), *folders, command, itself))


class Actions:
    """The actions of an engine."""

    def __init__(self, connection: Connection, blobs: Blobs) -> None:
        self._connection = connection
        self._blobs = blobs
        self._cache = services.ActionCacheStub(connection.channel)
        self._execution = services.ExecutionStub(connection.channel)

    def cached(self, digest: Digest) -> Any | None:
        """The message ActionResult that the action cache has, whole."""
        request = messages.GetActionResultRequest(
            instance_name=self._connection.endpoint.instance, action_digest=message(digest)
        )
        try:
            return self._connection.call(
                self._cache.GetActionResult, request, what="is asked for a result", passed=NO_RESULT
            )
        except grpc.RpcError:
            return None

    def remember(self, digest: Digest, result: Any) -> None:
        """Put a message ActionResult into the action cache."""
        request = messages.UpdateActionResultRequest(
            instance_name=self._connection.endpoint.instance, action_digest=message(digest), action_result=result
        )
        self._connection.call(self._cache.UpdateActionResult, request, what="is given a result")

    def run(
        self,
        wanted: Action,
        *,
        priority: float,
        keep: Callable[[Result], None],
        said: Callable[[str], None] = lambda text: None,
        live: Live | None = None,
    ) -> Result:
        """The result of the action: that of the cache, else executed, with at most three further tries.

        `keep` brings a result home; it raises `Again` where that is nothing but a worker's own trouble. A higher
        `priority` goes first; REAPI has it the other way round. `said` is told why something is done again; `live`
        shows what the action prints, with an engine that can.
        """
        trouble = ""
        # One that failed is asked for again: it may have been for want of something that is there now.
        if (found := self.cached(wanted.digest)) is not None and found.exit_code == 0:
            try:
                result = self._result(found, cached=True)
                keep(result)
                return result
            except (Again, LostBlob) as error:
                said(f"{error}; it is built again")
        for number in range(1 + len(PAUSES)):
            if number:
                said(f"{trouble}; tried again")
                self._connection.pause(number - 1)
            try:
                self._blobs.upload(wanted.blobs)
                with live.shown() if live else contextlib.nullcontext():
                    result = self._execute(wanted, priority, live)
                keep(result)
                return result
            except LostBlob as error:
                trouble = str(error)
                self._blobs.forget(wanted.digests)
            except Again as error:
                trouble = str(error)
        raise self._connection.error(
            f"did not get it done in {1 + len(PAUSES)} tries",
            detail=trouble,
            hint="its logs and those of its workers say more; photonbuild build --remote none builds here",
        )

    def _execute(self, wanted: Action, priority: float, live: Live | None) -> Result:
        request = messages.ExecuteRequest(
            instance_name=self._connection.endpoint.instance,
            action_digest=message(wanted.digest),
            skip_cache_lookup=True,
        )
        request.execution_policy.priority = -round(min(priority, MOST))
        response = messages.ExecuteResponse()
        operation = self._wait(request, wanted.digest.hash, live)
        # Engines differ in where they say that an action was stopped or could not be executed.
        if not operation.HasField("error") and not operation.response.Unpack(response):
            raise self._connection.error("answers with something else than a result")
        status = operation.error if operation.HasField("error") else response.status
        code = CODES.get(status.code, grpc.StatusCode.UNKNOWN)
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return replace(self._result(response.result, cached=False), timed_out=True)
        if code is not grpc.StatusCode.OK:
            raise self._refused(status)
        return self._result(response.result, cached=response.cached_result)

    def _wait(self, request: Any, name: str, live: Live | None) -> Any:
        """The operation, done. A stream that breaks off is taken up, also where another client has begun.

        A stream has no bound of its own: that the engine can be reached is seen before one begins.
        """
        connection = self._connection
        connection.reach()
        call = self._execution.Execute(request, metadata=connection.metadata(name))
        operation, tried = None, 0
        while True:
            try:
                for operation in call:
                    tried = 0
                    if operation.done:
                        return operation
                    if live:
                        live.follow(operation)
                raise Again("the engine ended its answer without a result")
            except grpc.RpcError as error:
                connection.check_open()
                code = error.code()
                if code is grpc.StatusCode.FAILED_PRECONDITION:
                    raise self._lost(error.details() or "") from None
                if code not in AGAIN:
                    raise self._final(error) from None
                if operation is None or tried == len(PAUSES):
                    raise Again(f"the engine stopped answering ({(error.details() or code.name).strip()})") from None
                connection.pause(tried)
                tried += 1
                connection.reach()
                again = messages.WaitExecutionRequest(name=operation.name)
                call = self._execution.WaitExecution(again, metadata=connection.metadata(name))

    def _final(self, error: grpc.RpcError) -> RemoteError | Again:
        # A scheduler that was started anew knows nothing of what it was asked before.
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return Again("the engine has forgotten it")
        refused = error.code() is grpc.StatusCode.INVALID_ARGUMENT
        return self._connection.failure(error, "is asked to build", hint=REFUSED if refused else None)

    def _refused(self, status: Any) -> RemoteError | Again:
        """Why there is no result, by a message Status."""
        code = CODES.get(status.code, grpc.StatusCode.UNKNOWN)
        if code is grpc.StatusCode.FAILED_PRECONDITION or code is grpc.StatusCode.NOT_FOUND:
            return self._lost(status.message)
        if code in ELSEWHERE:
            return Again(f"it was not done ({code.name}): {status.message}")
        return self._connection.error(f"refuses to build ({code.name})", detail=status.message)

    def _lost(self, said: str) -> LostBlob:
        error = self._connection.error("lacks something that it was given", detail=said)
        return LostBlob(f"{error.message}: {said}", where=error.where)

    def _result(self, found: Any, *, cached: bool) -> Result:
        files = {file.path: of_message(file.digest) for file in found.output_files}
        for folder in found.output_directories:
            inside = files_of(self._blobs.read(of_message(folder.tree_digest)))
            files |= {f"{folder.path}/{name}": digest for name, digest in inside.items()}
        stdout = found.stdout_raw
        for digest in map(of_message, (found.stdout_digest, found.stderr_digest)):
            # A file of the result may be just what was printed.
            if digest.size and digest not in files.values():
                stdout += self._blobs.read(digest)
        return Result(
            code=found.exit_code,
            files=files,
            worker=_name(found.execution_metadata.worker),
            stdout=stdout + found.stderr_raw,
            cached=cached,
        )


def _name(worker: str) -> str:
    """What an engine calls a worker: Buildbarn has the words of its settings as JSON."""
    with contextlib.suppress(ValueError):
        words = json.loads(worker)
        if isinstance(words, dict):
            return "/".join(str(words[key]) for key in sorted(words))
    return worker or "of no name"


class Again(Exception):
    """Not done, and that may be different the next time."""
