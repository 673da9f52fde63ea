"""Packages made from a crate: the newest version that its registry has."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from photonbuild.errors import SourceError
from photonbuild.pipeline.session import Session
from photonbuild.sources.fetch import cargo_sandbox
from photonbuild.sources.mirrors import cargo_configuration

# The configuration comes by standard input: it may hold a registry's token.
INFO = 'mkdir -p ~/.cargo && cat > ~/.cargo/config.toml && exec cargo info --color never --registry crates-io "$0"'
VERSION = re.compile(r"^version: (?P<version>\S+)(?: \(latest (?P<latest>\S+)\))?", re.MULTILINE)


def find_crate(folder: Path, version: str) -> str | None:
    """The dependency of the Cargo.toml in this folder that has exactly this version: what the package is made from."""
    manifest = tomllib.loads((folder / "Cargo.toml").read_text(encoding="utf-8"))
    for name, wanted in manifest.get("dependencies", {}).items():
        if (wanted if isinstance(wanted, str) else wanted.get("version")) == f"={version}":
            return str(name)
    return None


def newest(session: Session, folder: Path, version: str) -> str | None:
    """The newest version of the crate that the package of `version` is made from. Raises SourceError."""
    crate = find_crate(folder, version)
    if crate is None:
        return None
    configuration = cargo_configuration(session.config.user.mirrors).encode()
    sandbox = cargo_sandbox(session.fetcher, [])
    said = sandbox.run(["sh", "-c", INFO, crate], input=configuration, error=SourceError).stdout
    return newest_of(said)


def newest_of(said: str) -> str | None:
    """The version in what `cargo info` prints: https://doc.rust-lang.org/cargo/commands/cargo-info.html"""
    found = VERSION.search(said)
    return (found["latest"] or found["version"]) if found else None
