"""What a project extends, fetched by git(1) at one commit. Of the user's git only what reaches the network counts."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from photonbuild.errors import SourceError
from photonbuild.run import run

COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
# How git reaches a server and shows who we are, beside its own configuration.
PASSED_ON = (
    "SSH_AUTH_SOCK",
    "SSH_ASKPASS",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_ASKPASS",
    "GIT_SSL_CAINFO",
    "ALL_PROXY",
    "all_proxy",
)
# A checkout is the same everywhere: no filter, line ending or hook of this machine has a part in it.
CHECKOUT = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
SETTINGS = ("-c", "core.hooksPath=/dev/null", "-c", "core.autocrlf=false", "-c", "core.symlinks=true")
TIMEOUT = 1800.0


def network_environment() -> dict[str, str]:
    """What git gets beside `run.clean_environment`; it never asks at the terminal."""
    return {"GIT_TERMINAL_PROMPT": "0", **{name: os.environ[name] for name in PASSED_ON if name in os.environ}}


def fetch_argvs(repository: Path, address: str, commit: str) -> tuple[Sequence[str], ...]:
    """The commands that fetch a commit: that one alone; else, from a server that gives only names, all."""
    start = ("git", "-C", str(repository), *SETTINGS, "fetch", "-q", "--no-recurse-submodules")
    return (
        (*start, "--depth=1", "--no-tags", "--", address, commit),
        (*start, "--", address, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"),
    )


def located(address: str, root: Path) -> str:
    """The address, which may be a path from the project's root on."""
    return str((root / address).resolve()) if (root / address).exists() else address


def resolve(address: str, ref: str) -> str:
    """The commit that a branch, a tag or a commit's own name stands for now. Raises SourceError."""
    if COMMIT.fullmatch(ref):
        return ref
    done = run(["git", "ls-remote", "--", address], env=network_environment(), timeout=TIMEOUT, error=SourceError)
    refs = {name: commit for commit, name in (line.split("\t") for line in done.stdout.splitlines())}
    # A tag with a text of its own is followed to its commit.
    for name in (f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"refs/heads/{ref}", ref):
        if name in refs:
            return refs[name]
    known = [name.split("/", 2)[2] for name in refs if name.startswith(("refs/heads/", "refs/tags/"))]
    hint = f"it has: {', '.join(sorted(name for name in known if '^' not in name)[:20]) or 'nothing'}"
    raise SourceError(f"there is no branch or tag '{ref}'", where=address, hint=hint)


def checkout(address: str, commit: str, tree: Path, work: Path) -> None:
    """The files of a commit in the new folder `tree`; `work` is for git. Raises SourceError."""
    repository = work / "git"
    form = "sha256" if len(commit) == 64 else "sha1"
    run(["git", "init", "-q", "--bare", f"--object-format={form}", repository], env=CHECKOUT, error=SourceError)
    said = []
    for argv in fetch_argvs(repository, address, commit):
        done = run(argv, env=network_environment(), timeout=TIMEOUT, check=False, error=SourceError)
        here = run(["git", "-C", repository, "cat-file", "-e", f"{commit}^{{commit}}"], env=CHECKOUT, check=False)
        if here.returncode == 0:
            break
        said.append(done.stderr.strip())
    else:
        raise SourceError(
            f"git cannot fetch the commit {commit[:12]}",
            where=address,
            detail="\n".join(filter(None, said)),
            hint=f"try it by hand: git ls-remote {address}",
        )
    tree.mkdir()
    start = ["git", f"--git-dir={repository}", f"--work-tree={tree}", *SETTINGS]
    run([*start, "checkout", "-q", "-f", commit, "--", "."], cwd=tree, env=CHECKOUT, error=SourceError)
