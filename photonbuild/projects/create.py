"""A new project: the files of ``template/`` in a folder that appears as a whole."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import jinja2
import yaml

from photonbuild.config.project import Extends, write_lock
from photonbuild.errors import ConfigError
from photonbuild.files import sync, sync_folder
from photonbuild.projects.resolve import Finder, lock, roots_of
from photonbuild.roots import Roots

TEMPLATE = Path(__file__).with_name("template")
NAME, HIDDEN, RENDERED = "NAME", "dot-", ".j2"


def create(target: Path, extends: Extends, finder: Finder) -> Path:
    """Make the project in `target`, which must be new or empty; returns it.

    A killed call leaves nothing in it; of two at once one makes it. Raises ConfigError, SourceError.
    """
    target = Path(os.path.abspath(target))
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ConfigError("this is no folder", where=str(target), hint="name one that is new or empty")
    if target.is_dir() and any(target.iterdir()):
        raise _not_empty(target)
    if not target.parent.is_dir():
        raise ConfigError("there is no such folder", where=str(target.parent), hint=f"mkdir -p {target.parent}")
    extends = _seen_from(target, extends)
    with _beside(target) as work:
        _write(work, {"extends": _lines(extends), "name": "x", "program": "x"}, only="build/project.yaml")
        locked = lock(work if extends.path is None else target, extends, finder.store())
        if locked is not None:
            write_lock(work, locked)
        below = roots_of(work, finder).below
        name = _name(target, below)
        _write(work, {"extends": _lines(extends), "name": name, "program": _program(target, below)})
        for path in work.rglob("*"):
            (sync_folder if path.is_dir() else sync)(path)
        try:
            os.rename(work, target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            raise _not_empty(target) from None
        sync_folder(target.parent)
    return target


def _not_empty(target: Path) -> ConfigError:
    return ConfigError("this folder is not empty", where=str(target), hint="name one that is new or empty")


def _seen_from(target: Path, extends: Extends) -> Extends:
    """With its path, which the caller meant from where he is, as it is from the project."""
    if extends.path is not None:
        path = os.path.relpath(Path(extends.path).expanduser(), target)
        return extends.model_copy(update={"path": path})
    if extends.git is not None and Path(extends.git).exists():
        return extends.model_copy(update={"git": os.path.relpath(extends.git, target)})
    return extends


def _lines(extends: Extends) -> list[str]:
    """As YAML."""
    data = extends.model_dump(exclude_none=True, exclude_defaults=True)
    return yaml.safe_dump(data, sort_keys=False, width=1000).splitlines()


def _name(target: Path, below: Roots) -> str:
    """The name of the project's first profile and image: the folder's, as far as both take it, and no one's below."""
    name = re.sub(r"[^a-z0-9]", "", target.name.lower()) or "own"
    taken = {path.stem for kind in ("profiles", "images") for path in below.entries(f"build/{kind}").values()}
    return f"{name}own" if name in taken else name


def _program(target: Path, below: Roots) -> str:
    """How its Makefile calls photonbuild: the one of the checkout that it extends, if there is one."""
    program = below.own / "bin" / "photonbuild"
    return (
        os.path.relpath(program, target) if below.layers[0].label.endswith("/") and program.exists() else "photonbuild"
    )


def _write(folder: Path, values: Mapping[str, object], *, only: str | None = None) -> None:
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    for source in sorted(path for path in TEMPLATE.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        text = source.read_text(encoding="utf-8")
        name = re.sub(rf"(^|/){HIDDEN}", r"\1.", source.relative_to(TEMPLATE).as_posix())
        if name.endswith(RENDERED):
            name, text = name.removesuffix(RENDERED), environment.from_string(text).render(values)
        if only in (None, name):
            path = folder / name.replace(NAME, str(values["name"]))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A new folder beside `target` for work in progress, and none of those that killed calls have left there."""
    prefix = f".{target.name}.init-"
    for left in target.parent.glob(f"{glob.escape(prefix)}*"):
        with contextlib.suppress(OSError), _held(left):
            shutil.rmtree(left)
    with contextlib.ExitStack() as stack:
        work = Path()
        while not work.name:
            made = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
            # Another call may be sweeping it before it is held.
            with contextlib.suppress(OSError):
                stack.enter_context(_held(made))
                work = made if made.exists() else work
        try:
            work.chmod(0o755)
            yield work
        finally:
            if work.exists():
                shutil.rmtree(work)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """The folder's lock; raises OSError when a living process has it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)
