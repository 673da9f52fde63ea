"""Debian's dnf, reading a publication through a web server of ours."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from photonbuild.run import Completed
from photonbuild.sandbox.sandbox import Bind, Sandbox
from tests.support import serving

CONFIGURATION = """\
[main]
gpgcheck=1
assumeyes=1
reposdir=/none
cachedir=/kept/cache
persistdir=/kept/persist
logdir=/tmp
plugins=0
module_platform_id=platform:none
[published]
name=published
baseurl={url}/$releasever/packages/$basearch
gpgcheck=1
repo_gpgcheck=1
gpgkey={key}
"""

# Users are made by systemd, as Fedora's rpm is set up and Debian's is not; in the sandbox nothing is unshared.
MACROS = "%__systemd_sysusers /usr/bin/systemd-sysusers\n%__transaction_unshare %{nil}\n"


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which a web server shows this folder."""
    with serving.served(serving.folder(folder)) as port:
        yield f"http://127.0.0.1:{port}"


@dataclass(frozen=True)
class Dnf:
    """dnf over an empty root, of which `kept` holds what lasts from one call to the next."""

    root: Path
    scratch: Path
    kept: Path

    def run(self, url: str, *words: str, release: str = "1.0", key: str | None = None) -> Completed:
        """Run `dnf WORDS`; the root that it installs into is kept."""
        self.kept.mkdir(exist_ok=True)
        key = key or f"{url}/RPM-GPG-KEY-phos"
        (self.kept / "dnf.conf").write_text(CONFIGURATION.format(url=url, key=key), encoding="utf-8")
        (self.kept / "macros").write_text(MACROS, encoding="utf-8")
        binds = [Bind(self.kept, "/kept", readonly=False, links=True)]
        binds.append(Bind(self.kept / "macros", "/etc/rpm/macros.own"))
        sandbox = Sandbox(layers=[self.root], scratch=self.scratch, binds=binds, network=True)
        options = ["-c", "/kept/dnf.conf", f"--releasever={release}", "--forcearch=x86_64", "--installroot=/kept/root"]
        return sandbox.run(["dnf", *options, *words], check=False, timeout=300)

    def installed(self) -> list[str]:
        sandbox = Sandbox(
            layers=[self.root], scratch=self.scratch, binds=[Bind(self.kept, "/kept", readonly=False, links=True)]
        )
        query = ["rpm", "--root=/kept/root", "-qa", "--qf", "%{NEVRA} %{RSAHEADER:pgpsig}\n"]
        text = sandbox.run(query).stdout
        return sorted(line for line in text.splitlines() if not line.startswith("gpg-pubkey"))

    def closure(self, url: str) -> Completed:
        """Run `dnf repoclosure`: which requirements of packages does nothing there provide?"""
        return self.run(url, "--setopt=plugins=1", "--disableplugin=*", "--enableplugin=repoclosure", "repoclosure")
