"""Repositories that a machine updates from: data of an image or of the user, and the files that tell tdnf of them.

Files: dnf.conf(5), "repo options".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from photonbuild.config.validation import Model, Name
from photonbuild.errors import ConfigError

REPOSITORIES, KEYS = "/etc/yum.repos.d", "/etc/pki/rpm-gpg"
MOST_KEY = 1 << 20
ARMOR = "-----BEGIN PGP PUBLIC KEY BLOCK-----"


def _one_line(value: str) -> str:
    if not value or not value.isprintable() or value != value.strip():
        raise ValueError("one line of text is expected")
    return value


def _address(value: str) -> str:
    if not value.startswith(("https://", "http://", "file:///")) or set(value) & set(" ,"):
        raise ValueError(f"'{value}' is no address: https://…, http://… or file:///…")
    return value


class ClientRepository(Model):
    """A repository of packages as a machine knows it.

    `baseurl`: addresses of the same content, tried in order; $releasever and $basearch are the machine's. `key`: the
    file of the public key that signs it, armored, as ``photonbuild key export`` prints it.
    """

    id: Name
    name: Annotated[str, AfterValidator(_one_line)]
    baseurl: tuple[Annotated[str, AfterValidator(_address)], ...] = Field(min_length=1)
    key: str
    enabled: bool = True
    priority: Annotated[int, Field(ge=1, le=99)] | None = None

    @field_validator("id")
    @classmethod
    def _not_main(cls, value: str) -> str:
        if value == "main":
            raise ValueError("'main' is the section of tdnf's own settings")
        return value


def repository_files(
    repositories: Iterable[ClientRepository], find: Callable[[str], Path], *, where: str
) -> list[tuple[str, str]]:
    """Paths and texts of an image's files for these repositories; `find` gives the file of a relative `key`.

    Raises ConfigError when a key cannot be read or is none.
    """
    files: dict[str, str] = {}
    for repository in repositories:
        path = f"{REPOSITORIES}/{repository.id}.repo"
        if path in files:
            raise ConfigError(f"there are two repositories '{repository.id}'", where=where)
        files[path] = _repo_text(repository)
        key = Path(repository.key).expanduser()
        files[_key_path(repository)] = _key_text(key if key.is_absolute() else find(str(key)), where)
    return list(files.items())


def _key_path(repository: ClientRepository) -> str:
    return f"{KEYS}/RPM-GPG-KEY-{repository.id}"


def _repo_text(repository: ClientRepository) -> str:
    lines = [
        f"[{repository.id}]",
        f"name={repository.name}",
        f"baseurl={' '.join(repository.baseurl)}",
        f"enabled={int(repository.enabled)}",
        "gpgcheck=1",
        "repo_gpgcheck=1",
        f"gpgkey=file://{_key_path(repository)}",
    ]
    if repository.priority is not None:
        lines.append(f"priority={repository.priority}")
    return "\n".join(lines) + "\n"


def _key_text(path: Path, where: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            text = file.read(MOST_KEY)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the repository's key cannot be read: {error}", where=where) from None
    if "PRIVATE KEY" in text:
        raise ConfigError(
            f"{path} is a private key", where=where, hint="photonbuild key export NAME prints the public one"
        )
    if ARMOR not in text:
        raise ConfigError(f"{path} is no armored public key", where=where, hint="photonbuild key export NAME prints it")
    return text
