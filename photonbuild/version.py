"""Which photonbuild this is: its version, and the commit that it was made from."""

from __future__ import annotations

from pathlib import Path

from photonbuild import __version__
from photonbuild.code import PROJECT
from photonbuild.files import read_json
from photonbuild.run import run

# Written into the wheel when it is built: the commit, and the digest of the distribution that it brings.
BUILT = Path(__file__).with_name("built.json")
ARCHIVE = Path(__file__).with_name("distribution.tar.xz")


def commit() -> str | None:
    """The commit, with '-dirty' behind it where files had been changed; None where nobody knows."""
    if BUILT.exists():
        found = read_json(BUILT).get("commit")
        return str(found) if found else None
    if not (PROJECT / ".git").exists():
        return None
    done = run(["git", "-C", PROJECT, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"], check=False)
    return done.stdout.strip() or None


def version_text() -> str:
    """As 0.1.0 (commit 0123…)."""
    return f"{__version__} (commit {commit() or 'unknown'})"
