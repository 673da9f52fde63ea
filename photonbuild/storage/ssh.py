"""A publication in a folder behind ssh(1): sent by rsync(1), the rest by a few commands of a POSIX system there.

Both programs are the host's, with the user's own configuration, keys and known hosts. The lock is flock(1) there, held
by a shell that ends when its connection does; what makes new metadata visible is run by that shell, so that it happens
under the lock or not at all.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import SplitResult, unquote

from photonbuild.errors import StoreError
from photonbuild.run import Completed, clean_environment, run
from photonbuild.storage.folder import busy
from photonbuild.storage.interface import LOCK

OPTIONS = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=30", "-o", "ServerAliveInterval=15")
INCOMING = ".photonbuild.incoming"
HELD = 75  # exit code of flock when another has the lock
GONE = 23  # exit code of rsync when a file is not there


@dataclass
class Ssh:
    """Files below the folder `root` of `host`, which may have the user's name before it."""

    host: str
    port: int | None
    root: str
    shell: LockedShell | None = field(default=None, repr=False)

    @classmethod
    def at(cls, parts: SplitResult) -> Ssh:
        user = f"{unquote(parts.username)}@" if parts.username else ""
        return cls(f"{user}{parts.hostname}", parts.port, unquote(parts.path).rstrip("/"))

    @property
    def where(self) -> str:
        return f"ssh://{self.host}{f':{self.port}' if self.port else ''}{self.root}"

    def read(self, path: str) -> bytes | None:
        with tempfile.TemporaryDirectory(prefix="photonbuild-") as folder:
            target = Path(folder, "file")
            return target.read_bytes() if self.get(path, target) else None

    def get(self, path: str, target: Path, size: int | None = None) -> bool:
        done = self._rsync([f"{self.host}:{self.root}/{path}", str(target)])
        if done.returncode == GONE and "No such file" in done.stderr:
            return False
        return self._succeeded(done) and target.exists()

    def sizes(self, prefix: str) -> Mapping[str, int]:
        place = shlex.quote(prefix or ".")
        done = self._remote(f"if [ -d {place} ]; then find {place} -type f -printf '%s %p\\n'; fi")
        rows = (line.partition(" ") for line in done.stdout.splitlines())
        return {path.removeprefix("./"): int(size) for size, _, path in rows if "/.rsync-partial/" not in path}

    def digests(self, paths: Collection[str]) -> Mapping[str, str]:
        # What is not there has no digest: that is no error, and xargs would make it one.
        done = self._remote("xargs -0 -r sha256sum -- 2>/dev/null || true", _listing(paths))
        rows = (line.partition("  ") for line in done.stdout.splitlines())
        return {path: digest for digest, _, path in rows}

    def put(self, tree: Path, paths: Iterable[str]) -> None:
        self._send(tree, list(paths), self.root)

    def copy(self, pairs: Mapping[str, str]) -> None:
        folders = sorted({str(PurePosixPath(new).parent) for new in pairs})
        lines = [f"mkdir -p {shlex.quote(folder)}" for folder in folders]
        for new, old in pairs.items():
            words = f"{shlex.quote(old)} {shlex.quote(new)}"
            lines.append(f"ln -f {words} 2>/dev/null || cp {words}")
        self._remote("set -e; . /dev/stdin", "\n".join([*lines, ""]).encode())

    def write(self, path: str, data: bytes) -> None:
        with _folder_of({path: data}) as folder:
            self.put(folder, [path])

    def replace(self, files: Mapping[str, bytes]) -> None:
        assert self.shell is not None, "only under the lock"
        with _folder_of(files) as folder:
            self._send(folder, list(files), f"{self.root}/{INCOMING}")
        moves = " && ".join(f"mv -f {shlex.quote(f'{INCOMING}/{path}')} {shlex.quote(path)}" for path in files)
        folders = " ".join(sorted({shlex.quote(str(PurePosixPath(path).parent)) for path in files}))
        self.shell.do(f"mkdir -p {folders} && {moves}")

    def remove(self, paths: Collection[str]) -> None:
        self._remote("xargs -0 -r rm -f --", _listing(paths))
        folders = {str(PurePosixPath(path).parent) for path in paths} - {"."}
        # A folder may be gone already, as the parent of another one.
        self._remote("xargs -0 -r rmdir -p --ignore-fail-on-non-empty -- 2>/dev/null || true", _listing(folders))

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        root, name = shlex.quote(self.root), shlex.quote(LOCK)
        script = f"mkdir -p {root} && cd {root} && umask 022 && exec flock -n -E {HELD} {name} sh"
        self.shell = LockedShell([*self._ssh(), self.host, script], self.where)
        try:
            self.shell.do("true")
            yield
        finally:
            self.shell.close()
            self.shell = None

    def _ssh(self) -> list[str]:
        return ["ssh", *OPTIONS, *(["-p", str(self.port)] if self.port else [])]

    def _remote(self, script: str, data: bytes = b"") -> Completed:
        """Run a script of sh(1) in the folder there, which need not be there yet."""
        inside = f"if cd {shlex.quote(self.root)} 2>/dev/null; then {script}; fi"
        done = run([*self._ssh(), self.host, inside], input=data, env=_agent(), check=False, error=StoreError)
        self._succeeded(done)
        return done

    def _send(self, tree: Path, paths: Sequence[str], root: str) -> None:
        if not paths:
            return
        options = ["--files-from=-", "--from0", "--ignore-times", "--chmod=D755,F644", "--perms", "--times", "--mkpath"]
        words = [*options, "--partial-dir=.rsync-partial", f"{tree}/", f"{self.host}:{root}/"]
        self._succeeded(self._rsync(words, _listing(paths)))

    def _rsync(self, words: Sequence[str], data: bytes = b"") -> Completed:
        argv = ["rsync", "--secluded-args", f"--rsh={shlex.join(self._ssh())}", *words]
        return run(argv, input=data, env=_agent(), check=False, error=StoreError)

    def _succeeded(self, done: Completed) -> bool:
        if done.returncode:
            raise StoreError(
                f"{done.argv[0]} failed with exit code {done.returncode}",
                where=self.where,
                detail=done.stderr.strip()[-2000:],
                hint="what was sent stays: run this again",
            )
        return True


class LockedShell:
    """A shell over there that holds the lock for as long as its input is open, which is as long as we live."""

    def __init__(self, argv: Sequence[str], where: str) -> None:
        self.where = where
        env = clean_environment(_agent())
        self.process = subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def do(self, command: str) -> None:
        """Run a command under the lock. Raises StoreError when it fails, or the lock cannot be had or was lost."""
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f"{{ {command}; }} </dev/null >&2; echo $?\n".encode())
            self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if answer == b"0":
            return
        if not answer and self.process.wait() == HELD:
            raise busy(self.where)
        raise StoreError("a command over there failed", where=self.where, detail=command[:2000])

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def _agent() -> dict[str, str]:
    return {name: os.environ[name] for name in ("SSH_AUTH_SOCK",) if name in os.environ}


def _listing(paths: Iterable[str]) -> bytes:
    return b"".join(path.encode() + b"\0" for path in paths)


@contextlib.contextmanager
def _folder_of(files: Mapping[str, bytes]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="photonbuild-") as name:
        for path, data in files.items():
            (Path(name) / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(name) / path).write_bytes(data)
        yield Path(name)
