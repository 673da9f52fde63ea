"""The user's OpenPGP keys: files NAME.asc of his own folder, files elsewhere, and keys that his gpg-agent holds.

A key is named by its name in that folder, by the path of a file, or as agent:FINGERPRINT. What the agent holds may be
on a card or, through gnupg-pkcs11-scd(1), on a PKCS#11 token.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from photonbuild.documents import nearest
from photonbuild.errors import ConfigError
from photonbuild.publication.openpgp import DEVELOPMENT, Key, OpenPGP, write_secret
from photonbuild.run import run

AGENT = "agent:"
OWN = "development"  # the name of the key that is made on first use
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def default_folder() -> Path:
    """$XDG_CONFIG_HOME/photonbuild/keys"""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "photonbuild" / "keys"


@dataclass(frozen=True, kw_only=True)
class Keyring:
    """The keys in `folder`, and those that are named otherwise."""

    folder: Path
    tools: OpenPGP

    def names(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob("*.asc") if NAME.fullmatch(path.stem))

    def new(self, name: str, *, user: str, email: str, comment: str = "", expires: str = "0") -> Key:
        """Make a key and put it down as NAME.asc. Raises ConfigError when there is one of that name."""
        if not NAME.fullmatch(name):
            raise ConfigError(f"'{name}' is no name of a key: letters, digits, '.', '_' and '-'")
        for what, text in (("name", user), ("address", email)):
            if not re.fullmatch(r"[^\x00-\x1f<>()]+", text) or (what == "address" and "@" not in text):
                raise ConfigError(f"'{text}' is no {what} for the user id of a key")
        path = self.folder / f"{name}.asc"
        if path.exists():
            raise ConfigError("there is a key of this name", where=str(path), hint="take another name")
        key = self.tools.new(name=user, comment=comment, email=email, expires=expires)
        try:
            write_secret(path, str(key.secret))
        except FileExistsError:
            raise ConfigError("there is a key of this name", where=str(path), hint="take another name") from None
        return key

    def load(self, name: str, *, passphrase_file: Path | None = None) -> Key:
        """The key of this name, able to sign. Raises ConfigError."""
        if name.startswith(AGENT):
            return self._of_agent(name.removeprefix(AGENT).replace(" ", "").upper())
        path = self._path(name)
        passphrase = None
        if passphrase_file is not None:
            passphrase = read_private(passphrase_file.expanduser()).rstrip("\n")
        return self.tools.load(read_private(path), where=str(path), secret=True, passphrase=passphrase)

    def development(self) -> Key:
        """The key for trying things out, made on first use and marked as such in its user id."""
        if OWN not in self.names():
            try:
                return self.new(OWN, user="photonbuild", comment=DEVELOPMENT, email="development@localhost")
            except ConfigError:
                if OWN not in self.names():
                    raise
        return self.load(OWN)

    def public(self, name: str) -> Key:
        """The public key of this name, or in a file that may hold no more. Raises ConfigError."""
        if name.startswith(AGENT):
            return self.load(name)
        path = self._path(name)
        text = path.read_text(encoding="ascii", errors="replace")
        return self.tools.load(text, where=str(path), secret=False)

    def _path(self, name: str) -> Path:
        path = self.folder / f"{name}.asc" if NAME.fullmatch(name) else Path(name).expanduser()
        if NAME.fullmatch(name) and not path.exists() and Path(name).is_file():
            path = Path(name)
        if not path.is_file():
            known = self.names()
            hint = f"known: {', '.join(known) or 'none'}; or name a file by its path, or {AGENT}FINGERPRINT"
            raise ConfigError(f"no key '{name}'{nearest(name, known)}", where=str(self.folder), hint=hint)
        return path

    def _of_agent(self, fingerprint: str) -> Key:
        if not re.fullmatch(r"[0-9A-F]{40}", fingerprint):
            raise ConfigError(f"'{fingerprint}' is no fingerprint of 40 digits", where="--key")
        env = {"GNUPGHOME": os.environ["GNUPGHOME"]} if "GNUPGHOME" in os.environ else {}
        public = run(["gpg", "--batch", "--armor", "--export", fingerprint], env=env, error=ConfigError).stdout
        if not public:
            raise ConfigError(f"gpg knows no key {fingerprint}", hint="gpg --list-secret-keys")
        run(["gpgconf", "--launch", "gpg-agent"], env=env, error=ConfigError)
        socket = Path(run(["gpgconf", "--list-dirs", "agent-socket"], env=env, error=ConfigError).stdout.strip())
        return self.tools.load(public, where=str(socket), secret=True, agent=socket)


def read_private(path: Path) -> str:
    """The text of a file that nobody but its owner may read. Raises ConfigError."""
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ConfigError("others than its owner may read this file", where=str(path), hint=f"chmod 600 {path}")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"it cannot be read: {reason}", where=str(path)) from None
