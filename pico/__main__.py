"""The command ``pico``. What it imports is kept compiled in the store: a machine starts in a tenth of a second."""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from photonbuild.paths import default_store


def run(argv: Sequence[str]) -> NoReturn:
    """Run one command and end."""
    sys.dont_write_bytecode, sys.pycache_prefix = False, os.fspath(default_store() / "pico" / "compiled")
    from pico.cli.main import main

    sys.exit(main(argv))


def main() -> NoReturn:
    """The entry point of the installed command."""
    run(sys.argv[1:])


if __name__ == "__main__":
    main()
