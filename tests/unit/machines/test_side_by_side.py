"""The check of runtimes side by side, against an ssh on PATH that says yes to everything and ports that answer."""

from __future__ import annotations

import contextlib
import http.server
import socketserver
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from photonbuild.config.models import Runtime
from photonbuild.machines.checker import run_checks
from photonbuild.machines.testnet import serving
from photonbuild.pipeline.configuration import load_config

ROOT = Path(__file__).parents[3]
RUNTIMES = load_config(ROOT).runtimes
SSH = """#!{python}
import sys
from collections.abc import Sequence
with open({log!r}, "a") as log:
    log.write(sys.argv[-1] + "\\n")
if "%{{http_code}}" in sys.argv[-1]:
    print('{{"handle": "side"}}\\n200', end="")
"""


class FakeMachine:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def check_alive(self) -> None:
        pass


def answering(word: str) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"{word}\n".encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@pytest.mark.parametrize("chosen", [RUNTIMES, RUNTIMES[1:]], ids=["all", "without the first"])
def test_any_runtimes_are_started_restarted_and_removed(
    chosen: Sequence[Runtime], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bin/ssh", "busybox", "ssh_config", "log"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch(mode=0o755)
    (tmp_path / "bin/ssh").write_text(SSH.format(python=sys.executable, log=str(tmp_path / "log")))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    with contextlib.ExitStack() as stack:
        servers = [socketserver.ThreadingTCPServer(("127.0.0.1", 0), answering(runtime.name)) for runtime in chosen]
        ports = [stack.enter_context(serving(server)) for server in servers]
        facts = {
            "busybox": str(tmp_path / "busybox"),
            "published": {str(8080 + number): port for number, port in enumerate(ports)},
            "runtimes": {runtime.name: {"unit": runtime.unit, "check": runtime.check} for runtime in chosen},
            "ssh_config": str(tmp_path / "ssh_config"),
        }
        checks = run_checks(FakeMachine(tmp_path), facts, ["side_by_side"])
    assert [(check.outcome, check.message) for check in checks] == [("passed", "")] * 3
    log = (tmp_path / "log").read_text()
    for number, runtime in enumerate(chosen):
        assert f"systemctl restart {runtime.unit}" in log
        assert f"echo {runtime.name} > /www/index.html" in log and str(8080 + number) in log
    assert all(runtime.unit not in log for runtime in RUNTIMES if runtime not in chosen)
