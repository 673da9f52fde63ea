import sys

if sys.argv[1:2] == ["pico"]:
    # Before anything slow is imported: a machine starts in a tenth of a second.
    from .cli_pico import main as pico

    sys.exit(pico(sys.argv[2:]))

from .cli import main

main(prog_name="photonbuild")
