"""``build/project.yaml`` and ``photonbuild.lock``: what a project extends, and exactly which state of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError, model_validator

from photonbuild import documents
from photonbuild.config import validation
from photonbuild.config.validation import Model
from photonbuild.documents import Document
from photonbuild.errors import ConfigError
from photonbuild.files import write_text
from photonbuild.roots import BUILD, Roots

FILE, LOCK = "project.yaml", "photonbuild.lock"
RELOCK = "photonbuild project lock"
HEADER = f"# The state of what this project extends; written by {RELOCK}.\n"
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, Field(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")]


def _word(value: str) -> str:
    """What may stand in a command line of git: it is no option, and starts no program there."""
    if not value or not value.isprintable() or value.startswith("-") or set(value) & set(" \\") or "::" in value:
        raise ValueError(f"'{value}' is no address or name that git takes")
    return value


class Extends(Model):
    """One of: `path`, a folder, from the project's own on; `git`, an address with a `ref`, which is a branch, a tag or
    a commit; `installed`, what came with the photonbuild that runs."""

    path: Annotated[str, Field(min_length=1)] | None = None
    git: Annotated[str, AfterValidator(_word)] | None = None
    ref: Annotated[str, AfterValidator(_word)] | None = None
    installed: bool = False

    @model_validator(mode="after")
    def _one(self) -> Extends:
        if (self.path is not None) + (self.git is not None) + self.installed != 1:
            raise ValueError("one of 'path', 'git' with 'ref' and 'installed: true' is expected")
        if (self.git is None) != (self.ref is None):
            raise ValueError("'git' and 'ref' go together")
        return self


def extends_of(**values: object) -> Extends:
    """What a command line says. Raises ConfigError."""
    try:
        return Extends.model_validate(values)
    except ValidationError as error:
        raise ConfigError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None


class Project(Model):
    """``build/project.yaml``."""

    extends: Extends


class Locked(Model):
    """``photonbuild.lock``. `digest`: of the tree, whatever git's own digests say; `commit` of git, else `version`."""

    git: str | None = None
    ref: str | None = None
    commit: Commit | None = None
    version: str | None = None
    digest: Digest


def read_project(roots: Roots, root: Path) -> tuple[Project, Document] | None:
    """The project in `root` and the document, which knows its lines; None where it is a checkout that extends nothing.

    Raises ConfigError.
    """
    path = root / BUILD / FILE
    if not path.exists():
        return None
    document = documents.read(path, name=roots.where(path))
    return validation.validate(document, Project), document


def read_lock(roots: Roots, root: Path, extends: Extends) -> Locked:
    """The lock of the project in `root`, which must be one of what it extends. Raises ConfigError."""
    path = root / LOCK
    where = roots.where(path)
    if not path.exists():
        raise ConfigError(f"there is no {LOCK}, which says what of it is meant", where=where, hint=RELOCK)
    locked = validation.load(path, Locked, name=where)
    is_of_git = locked.commit is not None
    if (locked.git, locked.ref, is_of_git) != (extends.git, extends.ref, extends.git is not None):
        meant = f"{extends.git} {extends.ref}" if extends.git else "what is installed"
        was = f"{locked.git} {locked.ref}" if is_of_git else "what was installed"
        raise ConfigError(f"this is the lock of {was}, the project extends {meant}", where=where, hint=RELOCK)
    return locked


def write_lock(root: Path, locked: Locked) -> None:
    """By rename."""
    lines = (f'{name}: "{value}"\n' for name, value in locked.model_dump(exclude_none=True).items())
    write_text(root / LOCK, HEADER + "".join(lines), durable=True)
