"""From a command line to an exit code."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from photonbuild.errors import Interrupted, PhotonbuildError
from photonbuild.paths import checkout
from pico.builder import Builder, store_path
from pico.cli.commands import COMMANDS
from pico.cli.output import Output
from pico.cli.parser import MISUSE, parser
from pico.context import Context
from pico.errors import PicoError

STDERR = 2


def main(argv: Sequence[str]) -> int:
    """Run one command; its exit code. Errors are told on stderr."""
    while os.open(os.devnull, os.O_RDWR) <= STDERR:  # a stream that is closed would be another file's number
        pass
    options = parser().parse_args(argv)
    output = Output(as_json=options.json)
    os.umask(0o022)
    try:
        return COMMANDS[options.chosen](context(options), options, output)
    except KeyboardInterrupt:
        return Interrupted.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + 13
    except PhotonbuildError as error:
        output.tell(error)
        return error.exit_code
    except OSError as error:  # a full disk, a file that may not be read
        output.tell(PicoError(str(error)))
        return MISUSE


def context(options: argparse.Namespace) -> Context:
    """Where this call works. Raises ConfigError."""
    root = Path(options.root).resolve() if options.root else checkout()
    store = Path(options.store) if options.store else store_path()
    return Context(
        folder=Path(options.folder).absolute() if options.folder else store / "pico",
        builder=Builder(root, store, offline=options.offline, events=options.json),
        kernel=Path(options.kernel).absolute() if options.kernel else None,
    )
