import os
import sys

if sys.argv[1:2] == ["pico"]:
    # A machine starts in a tenth of a second: nothing slow is imported first, and what is imported is kept compiled.
    from .places import default_store

    sys.dont_write_bytecode, sys.pycache_prefix = False, os.fspath(default_store() / "pico" / "compiled")
    from .cli_pico import main as pico

    sys.exit(pico(sys.argv[2:]))

from .cli import main

main(prog_name="photonbuild")
