"""OpenPGP by gpg(1) and rpmsign(8) of the signing seed, in a sandbox without network; nothing of a key stays there."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from photonbuild import code
from photonbuild.errors import ConfigError, SolveError
from photonbuild.files import copy_file
from photonbuild.sandbox.sandbox import Bind, Sandbox

PROGRAM = code.program("photonbuild.publication.inside.openpgp")
# In a user id it says that nobody is to trust the key.
DEVELOPMENT = "development key, do not trust"


@dataclass(frozen=True, kw_only=True)
class Key:
    """An OpenPGP key. `created`, `expires`: seconds since 1970; `public`: armored.

    The private part is the armored `secret`, unlocked by `passphrase`, or with the gpg-agent behind the socket `agent`.
    """

    fingerprint: str
    created: int
    expires: int | None
    user_ids: tuple[str, ...]
    public: str
    secret: str | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)
    agent: Path | None = None

    @property
    def is_development(self) -> bool:
        return any(DEVELOPMENT in user_id for user_id in self.user_ids)

    @property
    def short(self) -> str:
        """The end of the fingerprint, as rpm shows a key."""
        return self.fingerprint[-16:].lower()


@dataclass(frozen=True, kw_only=True)
class OpenPGP:
    """The tools: the root of the signing seed, and a mount point for sandboxes."""

    seed: Path
    scratch: Path

    def new(self, *, name: str, comment: str = "", email: str, expires: str) -> Key:
        """A new key, whose private part has no passphrase. `expires` as gpg has it: 0 (never), 2y, 2030-01-01."""
        request = {"action": "new", "name": name, "comment": comment, "email": email, "expires": expires}
        answer = self._ask(request)
        return _key(answer, secret=answer["secret"])

    def load(
        self, text: str, *, where: str, secret: bool, passphrase: str | None = None, agent: Path | None = None
    ) -> Key:
        """The key in an armored text. With `secret`, it must be able to sign. Raises ConfigError."""
        request = {"action": "show", "key": text, "passphrase": passphrase, "agent": agent is not None, "prove": secret}
        answer = self._ask(request, agent=agent, where=where, error=ConfigError)
        if answer["unusable"]:
            raise ConfigError(f"the key {answer['fingerprint']} is {answer['unusable']}", where=where)
        if secret and not (answer["secret_there"] and answer["can_sign"]):
            raise ConfigError(f"nothing can be signed with the key {answer['fingerprint']}", where=where)
        own = text if secret and agent is None else None
        return _key(answer, secret=own, passphrase=passphrase, agent=agent)

    def sign(
        self, key: Key, folder: Path, *, packages: Sequence[str] = (), files: Sequence[str] = (), time: int
    ) -> None:
        """Sign packages of `folder` in place, and files by a FILE.asc beside each; every signature is then checked.

        `time`: when it was signed, seconds since 1970. The same packages, key and time give the same bytes. A time
        before the key was made leaves everything unsigned. Raises SolveError.
        """
        request = {
            "action": "sign",
            "key": key.secret or key.public,
            "passphrase": key.passphrase,
            "agent": key.agent is not None,
            "time": time,
        }
        bad = self._on_files(request, folder, packages, files, agent=key.agent, write=True)
        if bad:
            name, detail = next(iter(sorted(bad.items())))
            raise SolveError(f"{len(bad)} files are not signed as they should be", where=name, detail=detail)

    def check(
        self, key: Key, folder: Path, *, packages: Sequence[str] = (), files: Sequence[str] = ()
    ) -> dict[str, str]:
        """Which packages, and files with FILE.asc, of `folder` the key has not signed, with what rpm or gpg says."""
        request = {"action": "check", "key": key.public}
        return self._on_files(request, folder, packages, files, agent=None, write=False)

    def signature(self, key: Key, path: Path, work: Path, *, time: int) -> bytes:
        """The armored detached signature of a file. `work` is an empty folder."""
        copy_file(path, work / path.name)
        self.sign(key, work, files=[path.name], time=time)
        return (work / f"{path.name}.asc").read_bytes()

    def _on_files(
        self,
        request: dict[str, Any],
        folder: Path,
        packages: Sequence[str],
        files: Sequence[str],
        *,
        agent: Path | None,
        write: bool,
    ) -> dict[str, str]:
        request |= {"packages": [f"/work/{name}" for name in packages], "files": [f"/work/{name}" for name in files]}
        answer = self._ask(request, Bind(folder, "/work", readonly=not write), agent=agent, where=str(folder))
        return {name.removeprefix("/work/"): detail for name, detail in answer["bad"].items()}

    def _ask(
        self,
        request: dict[str, Any],
        *binds: Bind,
        agent: Path | None = None,
        where: str | None = None,
        error: type[SolveError] | type[ConfigError] = SolveError,
    ) -> dict[str, Any]:
        shared = [Bind(PROGRAM, "/openpgp.py"), *binds, *([Bind(agent, "/agent")] if agent else [])]
        sandbox = Sandbox(layers=[self.seed], scratch=self.scratch, binds=shared)
        done = sandbox.run(["python3", "-I", "/openpgp.py"], input=json.dumps(request).encode(), error=error)
        answer: dict[str, Any] = json.loads(done.stdout)
        if "error" in answer:
            hint = None
            if "Time conflict" in answer["detail"]:
                hint = "the key is younger than the time of the signature"
            elif "passphrase" in answer["detail"].lower():
                hint = "name the file that holds its passphrase: --passphrase-file"
            raise error(answer["error"], where=where, detail=answer["detail"], hint=hint)
        return answer


def _key(
    answer: dict[str, Any], *, secret: str | None, passphrase: str | None = None, agent: Path | None = None
) -> Key:
    return Key(
        fingerprint=answer["fingerprint"],
        created=answer["created"],
        expires=answer["expires"],
        user_ids=tuple(answer["user_ids"]),
        public=answer["public"],
        secret=secret,
        passphrase=passphrase,
        agent=agent,
    )


def write_secret(path: Path, text: str) -> None:
    """A new file that only its owner may read, in a folder that only its owner may enter; it appears by link(2), so
    that of two that make it at once one has made it. Raises FileExistsError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="ascii") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    try:
        os.link(temporary, path)
    finally:
        temporary.unlink()
