"""The commands: options in, work called, answer out. Each imports what it needs when it runs: a start takes 0.1 s."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from photonbuild.errors import PhotonbuildError
from pico.cli.output import Output
from pico.context import Context

if TYPE_CHECKING:
    from pico.oci.store import Image


def run(context: Context, options: argparse.Namespace, output: Output) -> int:
    from pico.cli import options as values
    from pico.cli import terminal
    from pico.containers import run as work

    request = values.request(options)
    host = context.host()
    image = _image(context, options, pull=options.pull)
    container = work.start(host, request, image, output.say)
    if options.detach:
        machine = work.detach(container, host)
        output.answer({"id": machine}, f"{machine}\n")
        return 0
    return work.wait(container, partial(terminal.attach, stdin=options.interactive, is_tty=options.tty))


def _image(context: Context, options: argparse.Namespace, *, pull: str = "missing") -> Image:
    return context.image(options.image, pull=pull, verify_tls=options.tls_verify != "false")


def execute(context: Context, options: argparse.Namespace, output: Output) -> int:
    from pico.cli import terminal
    from pico.cli.options import environment, window
    from pico.containers import control
    from pico.vm.state import find

    return control.execute(
        find(context.folder, options.machine),
        options.command,
        env=environment(options.env, options.env_file),
        cwd=options.workdir,
        user=options.user,
        stdin=options.interactive,
        tty=options.tty,
        window=window(tty=options.tty),
        attach=partial(terminal.attach, stdin=options.interactive, is_tty=options.tty),
    )


def ps(context: Context, options: argparse.Namespace, output: Output) -> int:
    from pico.containers import gc, listing

    gc.ended(context.folder)
    rows = listing.machines_of(context.folder, all_of_them=options.all)
    ids = "".join(f"{row['id']}\n" for row in rows)
    output.answer(rows, ids if options.quiet else listing.machine_table(rows))
    return 0


def logs(context: Context, options: argparse.Namespace, output: Output) -> int:
    from pico.cli.terminal import write
    from pico.containers import logs as work
    from pico.vm.state import find

    tail = None if options.tail == "all" else int(options.tail)
    machine = find(context.folder, options.machine)
    stamped = options.timestamps or options.json
    for stream, data in work.logs(machine, follow=options.follow, timestamps=stamped, tail=tail):
        if options.json:
            when, _, text = data.decode(errors="replace").partition(" ")
            print(json.dumps({"stream": stream, "time": when, "text": text.removesuffix("\n")}), flush=True)
        else:
            write(1 if stream == "stdout" else 2, data)
    return 0


def stop(context: Context, options: argparse.Namespace, output: Output) -> int:
    from pico.containers import control

    return _each(context, options.machines, output, lambda machine: control.stop(machine, options.time))


def kill(context: Context, options: argparse.Namespace, output: Output) -> int:
    from pico.containers import control
    from pico.oci.config import signal_number

    number = signal_number(options.signal)
    return _each(context, options.machines, output, lambda machine: control.kill(machine, number))


def rm(context: Context, options: argparse.Namespace, output: Output) -> int:
    from pico.containers import gc

    return _each(context, options.machines, output, lambda machine: gc.remove(machine, force=options.force))


def _each(context: Context, names: Sequence[str], output: Output, work: Callable[[Any], None]) -> int:
    """Do the same to several machines; one that fails does not spare the others. The answer is those that did not."""
    from pico.vm.state import find

    code = 0

    def worked() -> Iterator[str]:
        nonlocal code
        for name in names:
            try:
                work(find(context.folder, name))
                yield name
            except PhotonbuildError as error:
                output.tell(error)
                code = error.exit_code

    output.each(worked())
    return code


def images(context: Context, options: argparse.Namespace, output: Output) -> int:
    from pico.containers import listing

    rows = listing.images_of(context.folder)
    output.answer(rows, listing.image_table(rows))
    return 0


def pull(context: Context, options: argparse.Namespace, output: Output) -> int:
    image = _image(context, options, pull="always")
    output.answer({"id": image.id, "size": image.size}, f"{image.id[:12]}\n")
    return 0


def rmi(context: Context, options: argparse.Namespace, output: Output) -> int:
    from pico.containers import gc
    from pico.oci import reference

    images = (reference.parse(text) for text in options.images)
    output.each(name for image in images for name in gc.remove_image(context.folder, image, force=options.force))
    return 0


def template(context: Context, options: argparse.Namespace, output: Output) -> int:
    from pico.cli import options as values
    from pico.containers import listing
    from pico.factory import pool
    from pico.factory import template as work

    host = context.host()
    if options.list:
        rows = listing.templates_of(host)
        output.answer(rows, listing.template_table(rows))
        return 0
    if options.remove and options.all:
        gone = [folder for folder, _ in work.templates(host.folder)]
        for folder in gone:
            work.remove(host, folder)
        output.answer([str(folder) for folder in gone], "")
        return 0
    hardware = host.hardware(
        memory=values.memory(options.memory) if options.memory else None,
        cpus=options.cpus,
        volumes=int(options.volumes),
    )
    folder = work.folder_of(host, hardware)
    if options.remove:
        work.remove(host, folder)
        output.answer([str(folder)], "")
        return 0
    work.ensure(host, hardware, output.say)
    if not options.volumes and not options.no_spare:
        pool.fill(host, hardware)
    output.answer({"template": str(folder)}, f"{folder}\n")
    return 0


def gc(context: Context, options: argparse.Namespace, output: Output) -> int:
    from pico.containers import gc

    output.each(gc.collect(context.host(), exited=options.exited))
    return 0


def bench(context: Context, options: argparse.Namespace, output: Output) -> int:
    from pico.bench import beside, figures
    from pico.bench import measure as work
    from pico.cli.options import memory
    from pico.oci import reference

    host = context.host()
    image = _image(context, options)
    within = memory(options.within)
    result = work.measure(
        host, image, options.image, count=options.count, keep=options.alive, within=within, say=output.say
    )
    if options.beside:
        medium, named = Path(options.beside), reference.parse(options.image)
        result["series"] += beside.docker_runs(context.builder, medium, named, options.count, output.say)
    paths = figures.save(result, Path(options.output))
    output.answer(result, figures.table(result) + "".join(f"{path}\n" for path in paths))
    return 0


COMMANDS: dict[str, Callable[[Context, argparse.Namespace, Output], int]] = {
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
