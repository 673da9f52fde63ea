"""The program: `photonbuild pico` without the imports of the other commands, everything else by click."""

import sys

if sys.argv[1:2] == ["pico"]:  # nothing slow is imported first
    from pico.__main__ import run

    run(sys.argv[2:])

from photonbuild.cli.main import main

main(prog_name="photonbuild")
