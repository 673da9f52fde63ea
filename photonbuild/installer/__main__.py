"""python -m photonbuild.installer: install the system of this live medium onto a disk.

Started by installer.service with --boot, or by hand. See docs/use/kickstart.md for exit codes.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import FrameType

from photonbuild.errors import PhotonbuildError
from photonbuild.installer import questions
from photonbuild.installer.errors import Declined, KickstartError, MachineError
from photonbuild.installer.execute import execute, prepare, require_programs
from photonbuild.installer.fetch.fetcher import Fetcher
from photonbuild.installer.fetch.source import FORMS, Source, parse_source
from photonbuild.installer.kickstart.model import LOG_LEVELS, Kickstart
from photonbuild.installer.kickstart.parse import parse
from photonbuild.installer.kickstart.variables import parameters
from photonbuild.installer.log import Log
from photonbuild.installer.machine.disks import disks
from photonbuild.installer.machine.gather import gather_facts
from photonbuild.installer.machine.kernel import Kernel
from photonbuild.installer.paths import Paths
from photonbuild.installer.plan.make import make_plan, require_installable
from photonbuild.installer.plan.steps import describe
from photonbuild.installer.preinstall import run_preinstall
from photonbuild.installer.reboot import cdrom_to_eject, reboot
from photonbuild.installer.terminals import Terminals

# A medium with this label has a kickstart for the machine that it is plugged into.
LABEL, NAMES = "KICKSTART", ("kickstart.yaml", "kickstart.json")
PARAMETER = "ks.param="
ONLINE = ("/usr/lib/systemd/systemd-networkd-wait-online", "--any", "--timeout=60")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the kernel command line or the arguments say, and the label of a medium that may have a kickstart."""

    kickstart: str = ""
    label: str = ""
    authority: str = ""
    insecure: bool = False
    proxy: str = ""
    poweroff: bool = False
    params: tuple[str, ...] = ()


def boot_options(command_line: str) -> Options:
    try:
        # A value may have spaces, in quotation marks; the kernel leaves them there.
        words = shlex.split(command_line)
    except ValueError:
        words = command_line.split()
    values = dict(word.split("=", 1) for word in words if "=" in word)
    return Options(
        kickstart=values.get("ks", ""),
        authority=values.get("installer.ca", ""),
        proxy=values.get("installer.proxy", ""),
        insecure="insecure_installation=1" in words,
        poweroff="installer.poweroff" in words,
        params=tuple(word.removeprefix(PARAMETER) for word in words if word.startswith(PARAMETER)),
    )


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python3 -m photonbuild.installer", description="Install this system to a disk."
    )
    made.add_argument("--kickstart", "-k", metavar="SOURCE", help=f"{FORMS}; without one the console is asked")
    made.add_argument(
        "--param", metavar="NAME=VALUE", action="append", default=[], help="a value for !param NAME of the kickstart"
    )
    made.add_argument("--ca", metavar="SOURCE", help="a PEM file of certificates to trust besides the system's")
    made.add_argument("--proxy", metavar="URL", default="", help="what https and http go through")
    made.add_argument("--insecure", action="store_true", help="allow http")
    made.add_argument("--dry-run", action="store_true", help="print what would be done; write nothing to a disk")
    made.add_argument("--boot", action="store_true", help="heed the kernel command line, and restart at the end")
    return made


def main(arguments: Sequence[str] | None = None, *, paths: Paths | None = None, kernel: Kernel | None = None) -> int:
    """Exit code of the whole installation; `paths` and `kernel` are another system's in tests."""
    given = parser().parse_args(arguments)
    paths, kernel = paths or Paths(), kernel or Kernel()
    os.umask(0o022)
    signal.signal(signal.SIGTERM, _interrupt)
    boot = boot_options(kernel.text("proc/cmdline")) if given.boot else Options()
    terminals = Terminals.consoles() if given.boot else Terminals.standard()
    try:
        log = Log(paths.log, terminals.write)
    except OSError as unwritable:
        terminals.write(f"error: the log cannot be written: {unwritable}\nhint: only root can install")
        return MachineError.exit_code
    options = Options(
        kickstart=given.kickstart or boot.kickstart,
        label=LABEL if given.boot else "",
        authority=given.ca or boot.authority,
        insecure=given.insecure or boot.insecure,
        proxy=given.proxy or boot.proxy,
        params=(*boot.params, *given.param),
    )
    try:
        kickstart = install(options, terminals, log, paths, kernel, dry_run=given.dry_run)
    except (Exception, KeyboardInterrupt) as caught:
        error = reportable(caught, log)
        report(error, log)
        if given.boot:
            offer_shell(terminals, log)
        return error.exit_code
    finally:
        log.close()
    if given.boot:
        terminals.write(
            "installed; the machine is switched off" if boot.poweroff else "installed; the machine restarts"
        )
        eject = cdrom_to_eject(kernel, paths) if kickstart.eject_cdrom else ""
        reboot("poweroff" if boot.poweroff else "reboot", eject)
    return 0


def install(
    options: Options, terminals: Terminals, log: Log, paths: Paths, kernel: Kernel, *, dry_run: bool
) -> Kickstart:
    """Read, check, find out, plan; and only then write. Raises PhotonbuildError."""
    if os.geteuid() != 0 and not dry_run:
        raise MachineError("an installation writes to disks: only root can", hint="--dry-run shows what would be done")
    shutil.rmtree(paths.work, ignore_errors=True)
    # What is fetched may be secret.
    paths.work.mkdir(parents=True, mode=0o700)
    blocks = kernel.root / "sys/class/block"
    proxy = named_source(options.proxy, "installer.proxy=").text if options.proxy else ""
    online = ONLINE if os.path.exists(ONLINE[0]) else ()
    with Fetcher(paths=paths, blocks=blocks, insecure=options.insecure, proxy=proxy, online=online) as fetcher:
        if options.authority:
            fetcher.trust(named_source(options.authority, "installer.ca="))
        base = named_source(options.kickstart, "ks=") if options.kickstart else None
        # Nobody has named it: whoever has left it in the machine may not want it now.
        found = None if base or not options.label else fetcher.find_on_label(options.label, NAMES)
        base = base or found
        if base:
            params = parameters(options.params, "--param, ks.param=")
            kickstart = read_kickstart(base, fetcher, params, log, dry_run=dry_run)
        else:
            kickstart = questions.ask_all(terminals, disks(kernel, paths))
        log.level = kickstart.log_level if kickstart.log_level in LOG_LEVELS else "info"
        log.write("info", f"kickstart: {kickstart.name}")
        require_installable(kickstart)
        if not dry_run:
            kickstart = questions.ask_passphrase(terminals, kickstart)
        facts = gather_facts(kickstart, fetcher, base, kernel=kernel)
        plan = make_plan(kickstart, facts)
        log.write("debug", describe(plan))
        if dry_run:
            terminals.write(describe(plan))
            return kickstart
        require_programs(plan)
        prepare(plan, facts, log)
        if base is None:
            questions.confirm(terminals, plan)
        for note in plan.notes:
            log.write("warning", note)
        if found:
            questions.count_down(terminals, plan, found.name)
        execute(plan, facts, log)
    return kickstart


def named_source(text: str, word: str) -> Source:
    try:
        return parse_source(text)
    except KickstartError as error:
        raise KickstartError(error.message, where=word, hint=error.hint) from None


def read_kickstart(base: Source, fetcher: Fetcher, params: Mapping[str, str], log: Log, *, dry_run: bool) -> Kickstart:
    """The kickstart, with what its preinstall sets; that is run only when all that is known already is right."""
    text = fetcher.read_text(base)
    kickstart = parse(text, base.name, params=params)
    if not kickstart.preinstall:
        return kickstart
    if kickstart.refusals:
        require_installable(kickstart)
    if dry_run:
        log.write("warning", "preinstall is not run, as it would be: this is a dry run")
        return kickstart
    return parse(text, base.name, params=params, values=run_preinstall(kickstart, fetcher, base, log))


def reportable(caught: BaseException, log: Log) -> PhotonbuildError:
    """What to tell the user; a bug of ours leaves its trace in the log."""
    match caught:
        case PhotonbuildError():
            return caught
        case KeyboardInterrupt():
            return Declined("interrupted")
        case OSError():
            return MachineError(str(caught))
    log.write("debug", "".join(traceback.format_exception(caught)))
    return PhotonbuildError(f"a mistake in the installer itself: {type(caught).__name__}: {caught}")


def report(error: PhotonbuildError, log: Log) -> None:
    """The error in full on the console and in the log."""
    text = f"error: {error}"
    if error.detail:
        text += f"\n{error.detail}"
    if error.hint:
        text += f"\nhint: {error.hint}"
    if str(log.path) not in text:
        text += f"\nthe log is {log.path}"
    log.write("error", text)


def offer_shell(terminals: Terminals, log: Log) -> None:
    """After a failure the console offers a shell, so that the log can be read; it is left by a restart."""
    try:
        while True:
            terminals.shell_on_request(f"installation failed, see {log.path}; Enter starts a shell, reboot leaves it\n")
    except (Declined, KeyboardInterrupt):
        return


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
