"""Packages from repositories, by tdnf(8): its settings, its arguments, and what its errors mean to an installation.

It has settings, repositories, a cache and a memory of its own, below the installer's work folder: of the live system it
reads the rpm database. It checks packages by the digests of the metadata; `signatures` does the rest.
"""

from __future__ import annotations

import json
import re
import ssl
import time
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from photonbuild.documents import nearest
from photonbuild.errors import PhotonbuildError
from photonbuild.installer.errors import FetchError, MachineError, PackageError
from photonbuild.installer.fetch.fetcher import ATTEMPTS, MEMORY_HINT, Fetcher
from photonbuild.installer.fetch.signatures import require_signed
from photonbuild.installer.fetch.source import parse_source
from photonbuild.installer.kickstart.model import Repository
from photonbuild.installer.kickstart.urls import redacted
from photonbuild.installer.paths import Paths
from photonbuild.run import Completed, run

# As tdnf says them.
UNMATCHED, UNSOLVED = "no package matches", "the packages do not fit together"
NO_TRANSFER = "cannot be downloaded"
# What to do about an error with these words of tdnf or libcurl in it; where there are none, what tdnf advises is said.
HINTS = (
    ("certificate", "name its authority with installer.ca= on the kernel command line"),
    ("disabled", "a repository of https must stay at https: name the server that it leads to"),
    ("response 407|resolve proxy", "look at installer.proxy= on the kernel command line"),
    ("returned error: 40[13]", "user and password stand in 'baseurl': https://USER:PASSWORD@HOST/…"),
    ("returned error: 4|Couldn't open", "'baseurl' under 'repos' names the folder that has repodata/ in it"),
    (NO_TRANSFER, "see 'networkctl status' and 'resolvectl query' for the network"),
    ("not the (digest|size)|larger than", "the repository was changed or damaged: make its metadata anew"),
    ("too full|No space", MEMORY_HINT),
)
NETWORK_HINT = dict(HINTS)[NO_TRANSFER]
ARCHITECTURE = "x86_64"
INCOMING = ("Install", "Upgrade", "Downgrade", "Reinstall")


def settings(folder: Path, excluded: Iterable[str]) -> str:
    """tdnf.conf(5) for all of an installation. Packages with a name in `excluded` are never taken."""
    return f"""\
[main]
reposdir={folder}/repos
cachedir={folder}/cache
persistdir={folder}/state
gpgcheck=0
repo_gpgcheck=0
install_weak_deps=0
retries=1
excludepkgs={" ".join(excluded)}
"""


def repo_file(
    repository: Repository, address: str, *, proxy: str = "", authorities: Path | None = None, keys: Sequence[str] = ()
) -> str:
    """The section of one repository; `authorities` is a file of all that a server's certificate may come from."""
    lines = [f"[{repository.name}]", f"baseurl={_plain(address)}", "enabled=1", "repo_gpgcheck=0"]
    lines += [f"gpgcheck={int(repository.gpgcheck)}", f"sslverify={int(repository.sslverify)}"]
    lines += [f"gpgkey={' '.join(keys)}"] if keys else []
    lines += [f"proxy={_plain(proxy)}"] if proxy else []
    lines += [f"sslcacert={authorities}"] if authorities else []
    return "\n".join(lines) + "\n"


def _plain(url: str) -> str:
    """Without what divides words in such a file, or begins a variable."""
    return url.replace(",", "%2C").replace("$", "%24")


def argv(folder: Path, *words: str) -> tuple[str, ...]:
    return ("tdnf", f"--config={folder}/tdnf.conf", "--assumeyes", "--json", *words)


def replaced(address: str, paths: Paths) -> str:
    """With the release and the architecture of the system that is installed, as tdnf would put them in."""
    release = re.search(r'^VERSION_ID="?([^"\n]*)', _text(paths.root / "usr/lib/os-release"), re.MULTILINE)
    values = {"releasever": release[1] if release else "", "basearch": ARCHITECTURE, "arch": ARCHITECTURE}
    for name, value in values.items():
        address = address.replace(f"${{{name}}}", value).replace(f"${name}", value)
    return address


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def address_of(repository: Repository, fetcher: Fetcher) -> str:
    """The URL that tdnf is told. Raises FetchError: no folder with metadata is there, or it may not be asked for."""
    base = replaced(repository.baseurl, fetcher.paths).rstrip("/")
    source = parse_source(f"{base}/repodata/repomd.xml")
    if source.remote:
        fetcher.require_safe(source)
        fetcher.go_online()
        return base
    return f"file://{urllib.parse.quote(str(fetcher.local(source).parent.parent))}"


def download(
    wanted: Sequence[str],
    repositories: Sequence[Repository],
    fetcher: Fetcher,
    excluded: Iterable[str],
    keys: Mapping[str, Sequence[Path]] | None = None,
) -> tuple[Path, ...]:
    """The files of packages by name, name=version or path of a file, and of what they require beyond the live system.

    `keys` are the files of each repository's keys.

    Raises PackageError naming all that are missing, or what does not go together, and FetchError.
    """
    folder, target = fetcher.paths.work / "tdnf", fetcher.paths.work / "packages"
    addresses = {repository: address_of(repository, fetcher) for repository in repositories}
    _configure(folder, addresses, fetcher, excluded, keys or {})
    listed = _ask(argv(folder, "list", "--available"), addresses, fetcher)
    words = argv(folder, "--downloadonly", f"--downloaddir={target}", "install", *exact(wanted, listed))
    plan = _ask(words, addresses, fetcher, listed)
    files = tuple(sorted(target.glob("*.rpm")))
    if len(files) != sum(len(plan.get(key, ())) for key in INCOMING):
        raise FetchError("two of the packages have one file name", where=", ".join(wanted))
    require_signed(files, _origins(plan), repositories, keys or {}, folder)
    return files


def _origins(plan: Mapping[str, Sequence[Mapping[str, str]]]) -> dict[str, str]:
    """The repository of each package that comes in, by what `signatures.FORM` says of it."""
    found = {}
    for package in (package for key in INCOMING for package in plan.get(key, ())):
        epoch, _, version = package["Evr"].rpartition(":")
        found[f"{package['Name']} {epoch or 0}:{version} {package['Arch']}"] = package["Repo"]
    return found


def exact(wanted: Sequence[str], listed: Sequence[Mapping[str, str]]) -> list[str]:
    """With the epoch for name=version without one, where the package has one: to tdnf, as to rpm, none is 0."""
    epochs = {}
    for package in reversed(listed):
        epoch, colon, version = package["Evr"].rpartition(":")
        for form in (version, version.rpartition("-")[0]) if colon else ():
            epochs[f"{package['Name']}={form}"] = f"{package['Name']}={epoch}:{form}"
    return [epochs.get(word, word) for word in wanted]


def _ask(
    words: Sequence[str],
    addresses: Mapping[Repository, str],
    fetcher: Fetcher,
    listed: Sequence[Mapping[str, str]] = (),
) -> Any:
    """What tdnf answers; while it is only the network that fails, it is tried again."""
    for attempt in range(1, ATTEMPTS + 1):
        done = run(words, check=False, error=MachineError)
        if done.returncode == 0:
            return json.loads(done.stdout)
        error = _failure(done, addresses, listed)
        if error.hint != NETWORK_HINT or attempt == ATTEMPTS:
            raise error
        time.sleep(fetcher.pause * 2 ** (attempt - 1))
    raise AssertionError("the last attempt returns or raises")


def _configure(
    folder: Path,
    addresses: Mapping[Repository, str],
    fetcher: Fetcher,
    excluded: Iterable[str],
    keys: Mapping[str, Sequence[Path]],
) -> None:
    """What tdnf reads. The files of repositories may have passwords in them, and are their owner's alone."""
    (folder / "repos").mkdir(parents=True)
    (folder / "tdnf.conf").write_text(settings(folder, excluded), encoding="utf-8")
    authorities = folder / "authorities.pem" if fetcher.authorities else None
    if authorities:
        known = ssl.get_default_verify_paths().cafile
        public = Path(known).read_text(encoding="utf-8") if known else ""
        authorities.write_text(f"{public}\n{fetcher.authorities}", encoding="utf-8")
    for repository, address in addresses.items():
        file = folder / f"repos/{repository.name}.repo"
        file.touch(mode=0o600)
        files = [path.as_uri() for path in keys.get(repository.name, ())]
        text = repo_file(repository, address, proxy=fetcher.proxy, authorities=authorities, keys=files)
        file.write_text(text, encoding="utf-8")


def _failure(
    done: Completed, addresses: Mapping[Repository, str], listed: Sequence[Mapping[str, str]]
) -> PhotonbuildError:
    """What tdnf says, as `error: WHAT`, `where: WHERE` and `hint: HINT`, for whoever wrote the kickstart."""
    text = redacted("".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in done.stderr))
    form = r"^error: (.*?)(?:\n  where: ([^\n]*))?(?:\n\nhint: (.*?))?\s*\Z"
    said = re.search(form, text, re.MULTILINE | re.DOTALL)
    if not said:
        return MachineError(f"tdnf ended with exit code {done.returncode}", detail=text.strip()[-4000:] or None)
    what, where, hint = said.groups()
    if what == UNMATCHED:
        return _unmatched(re.findall(r"^No package (\S+) available$", text, re.MULTILINE), listed)
    if what.startswith(UNSOLVED):
        return PackageError(UNSOLVED, where="packages", detail=what.partition("\n")[2])
    for repository, address in addresses.items():
        where = where and where.replace(redacted(address), parse_source(repository.baseurl).name.rstrip("/"))
    return FetchError(what, where=where, hint=next((ours for words, ours in HINTS if re.search(words, what)), hint))


def _unmatched(words: Sequence[str], listed: Sequence[Mapping[str, str]]) -> PackageError:
    """With what the repositories have instead: other versions, or something that is called nearly so."""
    problems = []
    for word in words:
        name, _, version = word.partition("=")
        there = ", ".join(f"{name}-{package['Evr']}" for package in listed if package["Name"] == name)
        problems.append(
            f"there is no '{name}' of version {version} (there are: {there})"
            if there
            else f"no repository has '{name}'{nearest(name, [package['Name'] for package in listed])}"
        )
    return PackageError.of(problems, "packages are not to be had", where="packages")
