"""The options of every command, with docker's names for what docker has."""

from __future__ import annotations

import argparse
import sys
from typing import Any

MISUSE = 125
JSON = "the answer as JSON on standard output, messages as JSON events on standard error"
MACHINE = "its name, its id or the beginning of that"


class Parser(argparse.ArgumentParser):
    """Ends with docker's exit code for a wrong command line."""

    def error(self, message: str) -> Any:
        sys.stderr.write(f"error: {message}\n\nhint: {self.prog} --help\n")
        raise SystemExit(MISUSE)


def parser() -> Parser:
    """The parser of all commands; it leaves the command's name in `chosen`."""
    top = Parser(prog="pico", description="Container images as virtual machines of their own.")
    top.add_argument("--root", help="checkout to work on")
    top.add_argument("--store", help="store to use instead of $PHOTONBUILD_STORE")
    top.add_argument("--folder", help="where machines, images and templates are kept, on the store's file system")
    top.add_argument("--kernel", metavar="VMLINUX", help="boot this kernel, with the .initrd beside it")
    top.add_argument("--offline", action="store_true", help="fetch nothing")
    commands = top.add_subparsers(metavar="COMMAND", required=True, dest="chosen")
    _run(_command(commands, "run", "run a command of an image in a new machine", add_help=False))
    _exec(_command(commands, "exec", "run one more command in a machine"))
    _list(_command(commands, "ps", "list machines"))
    _logs(_command(commands, "logs", "show what a container has written"))
    end = _command(commands, "stop", "ask containers to end, then end their machines")
    end.add_argument("-t", "--time", type=float, default=10, help="seconds to wait before (10)")
    _machines(end)
    send = _command(commands, "kill", "send a signal to containers")
    send.add_argument("-s", "--signal", default="KILL", help="its name or number (KILL: ends the machine at once)")
    _machines(send)
    gone = _command(commands, "rm", "remove machines that have ended")
    gone.add_argument("-f", "--force", action="store_true", help="end those that run")
    _machines(gone)
    _command(commands, "images", "list images that are ready to run")
    fetched = _command(commands, "pull", "fetch or convert an image ahead")
    fetched.add_argument("image", metavar="IMAGE")
    _tls(fetched)
    unwanted = _command(commands, "rmi", "remove images")
    unwanted.add_argument("-f", "--force", action="store_true", help="also when a machine runs it")
    unwanted.add_argument("images", nargs="+", metavar="IMAGE")
    _template(_command(commands, "template", "make the template ahead that clones come from"))
    clean = _command(commands, "gc", "remove what nobody needs: stale templates, spares, leftovers")
    clean.add_argument("--exited", action="store_true", help="also machines that have ended, with their logs")
    _bench(_command(commands, "bench", "measure cold boots and clones"))
    return top


def _command(commands: Any, name: str, text: str, *, add_help: bool = True) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text, add_help=add_help, allow_abbrev=False
    )
    made.add_argument("--json", action="store_true", help=JSON)
    return made


def _machines(made: argparse.ArgumentParser) -> None:
    made.add_argument("machines", nargs="+", metavar="MACHINE", help=MACHINE)


def _tls(made: argparse.ArgumentParser) -> None:
    text = "trust this registry without a certificate (default: true)"
    made.add_argument("--tls-verify", choices=("true", "false"), default="true", help=text)


def _process(made: argparse.ArgumentParser) -> None:
    made.add_argument("-i", "--interactive", action="store_true", help="give it our standard input")
    made.add_argument("-t", "--tty", action="store_true", help="give it a terminal")
    made.add_argument("-e", "--env", action="append", default=[], metavar="NAME[=VALUE]", help="set a variable")
    made.add_argument("--env-file", action="append", default=[], metavar="FILE", help="variables, one a line")
    made.add_argument("-u", "--user", metavar="USER[:GROUP]", help="run as this user of the image")
    made.add_argument("-w", "--workdir", metavar="FOLDER", help="where it starts")


def _run(made: argparse.ArgumentParser) -> None:
    made.add_argument("--help", action="help", help="show this list and end")
    _process(made)
    made.add_argument("-d", "--detach", action="store_true", help="print the id and let it run")
    made.add_argument("-p", "--publish", action="append", default=[], metavar="[[ADDRESS:]PORT:]PORT[/udp]")
    made.add_argument("-v", "--volume", action="append", default=[], metavar="SOURCE:TARGET[:ro]")
    made.add_argument("--tmpfs", action="append", default=[], metavar="TARGET", help="an empty folder in memory")
    made.add_argument("--entrypoint", metavar="PROGRAM", help="in place of the image's")
    made.add_argument("--group-add", action="append", default=[], metavar="GROUP", help="one more group of its user")
    made.add_argument("-m", "--memory", metavar="SIZE", help="memory of the machine, like 256m")
    made.add_argument("--cpus", metavar="NUMBER", help="processors, like 1.5")
    made.add_argument("--name", help="name of the machine")
    made.add_argument("-h", "--hostname", help="host name inside (default: the id)")
    made.add_argument("--rm", action="store_true", help="remove the machine when it has ended")
    made.add_argument("--read-only", action="store_true", help="nothing of the image can be written")
    made.add_argument(
        "--network", choices=("none", "user"), default="user", help="none, or one behind this host (user)"
    )
    made.add_argument(
        "--pull", choices=("missing", "always", "never"), default="missing", help="when to fetch (missing)"
    )
    made.add_argument("--stop-signal", metavar="SIGNAL", help="what `stop` sends")
    made.add_argument("--cold", action="store_true", help="boot the machine instead of cloning it")
    made.add_argument("--no-spare", action="store_true", help="use no machine that waits, and keep none waiting")
    _tls(made)
    made.add_argument("image", metavar="IMAGE", help="a folder, an archive, or HOST/NAME:TAG")
    made.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="in place of the image's")


def _exec(made: argparse.ArgumentParser) -> None:
    _process(made)
    made.add_argument("machine", metavar="MACHINE", help=MACHINE)
    made.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")


def _list(made: argparse.ArgumentParser) -> None:
    made.add_argument("-a", "--all", action="store_true", help="also those that have ended, and spares")
    made.add_argument("-q", "--quiet", action="store_true", help="only ids")


def _logs(made: argparse.ArgumentParser) -> None:
    made.add_argument("-f", "--follow", action="store_true", help="go on until the machine ends")
    made.add_argument("-t", "--timestamps", action="store_true", help="with the guest's time before each line")
    made.add_argument("-n", "--tail", default="all", metavar="LINES", type=_lines, help="only so many of the end")
    made.add_argument("machine", metavar="MACHINE", help=MACHINE)


def _lines(text: str) -> str:
    if text != "all" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is no number of lines")
    return text


def _template(made: argparse.ArgumentParser) -> None:
    made.add_argument("-m", "--memory", metavar="SIZE", help="for machines of this size")
    made.add_argument("--cpus", type=int, metavar="NUMBER", help="for machines with so many processors")
    made.add_argument("--volumes", action="store_true", help="for machines with volumes")
    made.add_argument("--no-spare", action="store_true", help="keep no machine waiting")
    made.add_argument("--list", action="store_true", help="list templates")
    made.add_argument("--remove", action="store_true", help="remove this template and its spares")
    made.add_argument("--all", action="store_true", help="with --remove: the templates of machines of every size")


def _bench(made: argparse.ArgumentParser) -> None:
    made.add_argument("--count", type=int, default=40, help="starts for each figure (40)")
    made.add_argument("--alive", type=int, default=0, metavar="COUNT", help="how many to keep alive at once (0: none)")
    made.add_argument(
        "--within", default="16g", metavar="SIZE", help="stop before they use more memory than this (16g)"
    )
    made.add_argument("--beside", metavar="ISO", help="also `docker run` in a machine booted from this image")
    made.add_argument("--output", default="stage/bench", metavar="FOLDER", help="where pico.json and pico.svg go")
    _tls(made)
    made.add_argument("image", metavar="IMAGE", help="an image with /bin/true")
