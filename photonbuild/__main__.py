"""The program: `photonbuild pico` without the imports of the other commands, everything else by click."""

import os
import sys

if sys.argv[1:2] == ["pico"]:
    # A machine starts in a tenth of a second: nothing slow is imported first, and what is imported is kept compiled.
    from photonbuild.paths import default_store

    sys.dont_write_bytecode, sys.pycache_prefix = False, os.fspath(default_store() / "pico" / "compiled")
    from pico.cli import main as pico

    sys.exit(pico(sys.argv[2:]))

from photonbuild.cli.main import main

main(prog_name="photonbuild")
