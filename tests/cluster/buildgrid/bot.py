"""A worker of BuildGrid, by BuildGrid's own library: `bot.py HOST:PORT FOLDER`, with that library on PYTHONPATH.

As its own workers do, by the Remote Workers API: lease, input root, command, results. One action at a time. What it is
told by `photonbuild worker setup` for Buildbarn's workers, PB_CACHE and the like, is in its environment.
"""

from __future__ import annotations

import importlib
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc

PROTOS = "buildgrid._protos"
REAPI = f"{PROTOS}.build.bazel.remote.execution.v2.remote_execution_pb2"
BOTS = f"{PROTOS}.google.devtools.remoteworkers.v1test2.bots_pb2"
OK, PENDING, ACTIVE, COMPLETED = 1, 1, 2, 4  # of BotStatus and LeaseState
POLL = 60.0  # seconds that the server may keep a bot waiting


def main() -> None:
    address, folder = sys.argv[1], Path(sys.argv[2])
    channel = grpc.insecure_channel(address)
    bots, stubs = importlib.import_module(BOTS), importlib.import_module(f"{BOTS}_grpc").BotsStub(channel)
    session = bots.BotSession(bot_id="bot", status=OK)
    session.worker.devices.add(handle="bot")
    session = stubs.CreateBotSession(bots.CreateBotSessionRequest(bot_session=session), timeout=POLL)
    while True:
        for lease in session.leases:
            if lease.state == ACTIVE:
                lease.result.Pack(run(channel, lease, folder))
                lease.state = COMPLETED
            elif lease.state == PENDING:
                lease.state = ACTIVE
        request = bots.UpdateBotSessionRequest(name=session.name, bot_session=session)
        session = stubs.UpdateBotSession(request, timeout=POLL)


def run(channel: grpc.Channel, lease: Any, folder: Path) -> Any:
    """The message ActionResult of a lease."""
    messages, storage = importlib.import_module(REAPI), importlib.import_module("buildgrid.server.client.cas")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    digest, action, command = messages.Digest(), messages.Action(), messages.Command()
    if not lease.payload.Unpack(digest):
        assert lease.payload.Unpack(action)
    with storage.download(channel) as home:
        if digest.hash:
            action = home.get_message(digest, action)
        command = home.get_message(action.command_digest, command)
        home.download_directory(action.input_root_digest, str(folder))
    env = {variable.name: variable.value for variable in command.environment_variables}
    env |= {name: value for name, value in os.environ.items() if name.startswith("PB_")}
    done = subprocess.run(
        command.arguments, cwd=folder, env=env, capture_output=True, timeout=action.timeout.seconds, check=False
    )
    result = messages.ActionResult(exit_code=done.returncode, stderr_raw=done.stderr)
    result.execution_metadata.worker = "bot"
    with storage.upload(channel) as there:
        result.stdout_digest.CopyFrom(there.put_blob(io.BytesIO(done.stdout)))
        for name in filter(lambda name: (folder / name).is_dir(), command.output_paths):
            tree = there.upload_tree(str(folder / name))
            result.output_directories.add(path=name, tree_digest=tree)
    return result


if __name__ == "__main__":
    main()
