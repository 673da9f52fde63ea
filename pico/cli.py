"""The commands of ``photonbuild pico``: options in, work called, answer out. Imports nothing slow: a start takes 0.1 s.

The parser is argparse's, which is there in a few milliseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from photonbuild.errors import Interrupted, PhotonbuildError
from pico.context import Context
from pico.parser import MISUSE, parser


def register(group: Any) -> None:
    """Add ``pico`` to a click group: everything after it is for the parser here."""
    import click

    def forward(arguments: tuple[str, ...]) -> None:
        """Container images as virtual machines: run, ps, logs, exec, stop, kill, rm, images, pull, rmi, template…"""
        sys.exit(main(arguments))

    settings = {"ignore_unknown_options": True, "allow_interspersed_args": False}
    rest = click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    group.command("pico", context_settings=settings, add_help_option=False)(rest(forward))


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def main(argv: Sequence[str]) -> int:
    """Run one command; its exit code. Errors are told on stderr."""
    options = parser().parse_args(argv)
    os.umask(0o022)
    try:
        return COMMANDS[options.chosen](Context(options), options)
    except KeyboardInterrupt:
        return Interrupted.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + 13
    except PhotonbuildError as error:
        _tell(error)
        return error.exit_code
    except OSError as error:  # a full disk, a file that may not be read
        say(f"error: {error}")
        return MISUSE


def _tell(error: PhotonbuildError) -> None:
    for line in (error.detail or "").rstrip().splitlines():
        say(f"  │ {line}")
    say(f"error: {error}")
    if error.hint:
        say(f"\nhint: {error.hint}")


def run(context: Context, options: argparse.Namespace) -> int:
    from pico import request as wanted
    from pico import run as work

    request = wanted.of(options)
    host = context.host()
    image = context.image(options.image, options, pull=options.pull)
    running = work.start(host, request, image, say)
    if options.detach:
        print(work.detached(running, host))
        return 0
    return work.attached(running, host, stdin=options.interactive)


def execute(context: Context, options: argparse.Namespace) -> int:
    from pico import control
    from pico.options import environment
    from pico.state import find

    return control.execute(
        find(context.folder, options.machine),
        options.command,
        env=environment(options.env, options.env_file),
        cwd=options.workdir,
        user=options.user,
        stdin=options.interactive,
        tty=options.tty,
    )


def ps(context: Context, options: argparse.Namespace) -> int:
    from pico import listing, tidy

    tidy.ended(context.folder)
    rows = listing.machines_of(context.folder, all_of_them=options.all)
    if options.json:
        print(json.dumps(rows, indent=1))
    elif options.quiet:
        print("".join(f"{row['id']}\n" for row in rows), end="")
    else:
        print(listing.machine_table(rows), end="")
    return 0


def logs(context: Context, options: argparse.Namespace) -> int:
    from pico import control
    from pico.state import find

    tail = None if options.tail == "all" else int(options.tail)
    machine = find(context.folder, options.machine)
    control.logs(machine, follow=options.follow, timestamps=options.timestamps, tail=tail)
    return 0


def stop(context: Context, options: argparse.Namespace) -> int:
    from pico import control

    return _each(context, options.machines, lambda machine: control.stop(machine, options.time))


def kill(context: Context, options: argparse.Namespace) -> int:
    from pico import control
    from pico.oci.config import signal_number

    number = signal_number(options.signal)
    return _each(context, options.machines, lambda machine: control.kill(machine, number))


def rm(context: Context, options: argparse.Namespace) -> int:
    from pico import tidy

    return _each(context, options.machines, lambda machine: tidy.remove(machine, force=options.force))


def _each(context: Context, names: Sequence[str], work: Callable[[Any], None]) -> int:
    """Do the same to several machines; one that fails does not spare the others."""
    from pico.state import find

    code = 0
    for name in names:
        try:
            work(find(context.folder, name))
            print(name)
        except PhotonbuildError as error:
            _tell(error)
            code = error.exit_code
    return code


def images(context: Context, options: argparse.Namespace) -> int:
    from pico import listing

    rows = listing.images_of(context.folder)
    print(json.dumps(rows, indent=1) + "\n" if options.json else listing.image_table(rows), end="")
    return 0


def pull(context: Context, options: argparse.Namespace) -> int:
    print(context.image(options.image, options, pull="always").id[:12])
    return 0


def rmi(context: Context, options: argparse.Namespace) -> int:
    from pico import tidy
    from pico.oci import reference

    for text in options.images:
        for gone in tidy.remove_image(context.folder, reference.parse(text), force=options.force):
            print(gone)
    return 0


def template(context: Context, options: argparse.Namespace) -> int:
    from pico import listing, spares
    from pico import options as values
    from pico import template as work

    host = context.host()
    if options.list:
        print(listing.template_table(host), end="")
        return 0
    if options.remove and options.all:
        for folder, _ in work.templates(host.folder):
            work.remove(host, folder)
        return 0
    hardware = host.hardware(
        memory=values.memory(options.memory) if options.memory else None,
        cpus=options.cpus,
        volumes=int(options.volumes),
    )
    folder = work.folder_of(host, hardware)
    if options.remove:
        work.remove(host, folder)
        return 0
    work.ensure(host, hardware, say)
    if not options.volumes and not options.no_spare:
        spares.fill(host, hardware)
    print(folder)
    return 0


def gc(context: Context, options: argparse.Namespace) -> int:
    from pico import tidy

    for line in tidy.collect(context.host(), exited=options.exited):
        print(line)
    return 0


def bench(context: Context, options: argparse.Namespace) -> int:
    from pico.bench import beside, figures
    from pico.bench import measure as work
    from pico.oci import reference
    from pico.options import memory

    host = context.host()
    image = context.image(options.image, options)
    within = memory(options.within)
    result = work.measure(host, image, options.image, count=options.count, keep=options.alive, within=within, say=say)
    if options.beside:
        medium, named = Path(options.beside), reference.parse(options.image)
        result["series"] += beside.docker_runs(context.session(), medium, named, options.count, say)
    print(figures.table(result), end="")
    for path in figures.save(result, Path(options.output)):
        print(path)
    return 0


COMMANDS: dict[str, Callable[[Context, argparse.Namespace], int]] = {
    "run": run,
    "exec": execute,
    "ps": ps,
    "logs": logs,
    "stop": stop,
    "kill": kill,
    "rm": rm,
    "images": images,
    "pull": pull,
    "rmi": rmi,
    "template": template,
    "gc": gc,
    "bench": bench,
}
