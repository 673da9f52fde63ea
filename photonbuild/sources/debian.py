"""Which source packages Debian's archives list, from their own signed indexes, read by apt."""

from __future__ import annotations

import functools
import re
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from photonbuild.config.models import Mirrors
from photonbuild.errors import SourceError
from photonbuild.run import clean_environment
from photonbuild.sources.apt import apt_configuration, sources_list

SUITES = ("updates", "backports")
ORIGINAL = re.compile(r"^[^_]+_[^_]+(\.orig)?\.tar\.(xz|gz|bz2|zst)$")
CHANGES = re.compile(r"\.debian\.tar\.(xz|gz|bz2|zst)$|\.diff\.gz$")


@dataclass(frozen=True, kw_only=True)
class SourcePackage:
    """One version of a source package as an index lists it. `files`: paths in its archive."""

    name: str
    version: str
    files: tuple[str, ...]

    @property
    def upstream(self) -> str:
        """The upstream part of the version, without epoch and Debian's revision."""
        return upstream_part(self.version)

    @property
    def original(self) -> str | None:
        """The path of the upstream archive, or of the whole of a native package."""
        found = (path for path in self.files if ORIGINAL.match(Path(path).name) and not CHANGES.search(path))
        return next(found, None)

    @property
    def changes(self) -> str | None:
        """The path of what Debian adds to the upstream archive."""
        return next((path for path in self.files if CHANGES.search(path)), None)


def upstream_part(version: str) -> str:
    return version.partition(":")[2 if ":" in version else 0].rpartition("-")[0 if "-" in version else 2]


def plain(upstream: str) -> str:
    """An upstream version as upstream writes it: without what Debian says of its own repacking."""
    return re.sub(r"[+.~](dfsg|ds|repack)[0-9.]*$", "", upstream.rpartition("+really")[2])


def parse(text: str) -> list[SourcePackage]:
    """The stanzas of a Sources index, or of `apt-cache showsrc`; what is no whole stanza is left out."""
    found = []
    for stanza in re.split(r"\n[ \t]*\n", text):
        fields = dict(re.findall(r"^([A-Za-z0-9-]+):[ \t]*(.*(?:\n[ \t].*)*)", stanza, re.MULTILINE))
        names = re.findall(r"^[ \t]*[0-9a-f]{64}[ \t]+[0-9]+[ \t]+([^/\s]+)$", fields.get("Checksums-Sha256", ""), re.M)
        folder, name = fields.get("Directory", "").strip(), fields.get("Package", "").strip()
        if names and name and folder.startswith("pool/") and ".." not in folder:
            files = tuple(f"{folder}/{each}" for each in names)
            found.append(SourcePackage(name=name, version=fields.get("Version", "").strip(), files=files))
    return found


@functools.cache
def is_older(one: str, other: str) -> bool:
    """Is one Debian version before another? By dpkg, which decides that for apt too."""
    return subprocess.run(["dpkg", "--compare-versions", one, "lt", other], check=False).returncode == 0


def newest_first(packages: Iterable[SourcePackage]) -> list[SourcePackage]:
    """Sorted by version, each version once: the security archive's before the main one's, where both have it."""
    unique = {(p.name, p.version): p for p in sorted(packages, key=lambda p: p.files[0].startswith("pool/updates/"))}

    def order(one: SourcePackage, other: SourcePackage) -> int:
        return -1 if is_older(other.version, one.version) else int(one.version != other.version)

    return sorted(unique.values(), key=functools.cmp_to_key(order))


def listed(settings: Mirrors, suite: str, names: Sequence[str]) -> dict[str, list[SourcePackage]]:
    """What the archives list of these source packages, newest first. Raises SourceError when none can be read."""
    with tempfile.TemporaryDirectory(prefix="photonbuild-") as temporary:
        conf = apt_configuration(Path(temporary), sources_list("deb-src", settings, suite, SUITES))
        env = clean_environment({"APT_CONFIG": str(conf)})
        # An archive without one of the suites is no reason to know nothing of the others.
        update = subprocess.run(["apt-get", "update", "-q"], env=env, capture_output=True, text=True, check=False)
        argv = ["apt-cache", "showsrc", "--only-source", *sorted(set(names))]
        shown = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    found: dict[str, list[SourcePackage]] = {}
    for package in parse(shown.stdout):
        found.setdefault(package.name, []).append(package)
    if names and not found:
        raise SourceError("no index of Debian's source packages can be read", detail=update.stderr[-2000:])
    return {name: newest_first(packages) for name, packages in found.items()}
