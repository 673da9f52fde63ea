"""Small signed repositories, and tdnf in a root: for tests of the client."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from photonbuild.run import Completed
from photonbuild.sandbox.process import Process
from photonbuild.sandbox.sandbox import Bind, Sandbox
from tests.support.tinyrpm import BINARY, INT16, INT32, STRING, Tag, _header

EPOCH = 1767225600
RSA_HEADER = 268  # RPMSIGTAG_RSA: an OpenPGP signature of the header
SPEC = """\
Name: {name}
Epoch: {epoch}
Version: {version}
Release: {release}
Summary: {summary}
License: MIT
URL: https://example.invalid/
BuildArch: noarch
{tags}
%description
{summary}, described.
%install
mkdir -p %{{buildroot}}/usr/share/{own}
echo '{name} {version}' > %{{buildroot}}/usr/share/{own}/version
{install}
{scripts}
%files
/usr/share/{own}
{files}
%changelog
* Thu Jan 01 2026 A Tester <tester@example.invalid> - {version}-{release}
- made
"""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A package that rpmbuild is to make."""

    name: str
    version: str = "1"
    release: str = "1"
    epoch: int = 0
    tags: str = ""
    scripts: str = ""
    install: str = ""
    files: str = ""
    folder: str = ""

    @property
    def file(self) -> str:
        return f"{self.name}-{self.version}-{self.release}.noarch.rpm"

    @property
    def spec(self) -> str:
        return SPEC.format(summary=f"Package {self.name}", own=self.folder or self.name, **vars(self))


def make_packages(seed: Path, work: Path, packages: Sequence[Made], macros: Sequence[Path]) -> Path:
    """Run the seed's rpmbuild; the folder with all the files."""
    for folder in ("scratch", "specs", "noarch"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    for number, made in enumerate(packages):
        (work / "specs" / f"{number}.spec").write_text(made.spec, encoding="utf-8")
    binds = [Bind(work, "/work", readonly=False), *(Bind(path, f"/etc/rpm/{path.name}") for path in macros)]
    env = {"SOURCE_DATE_EPOCH": str(EPOCH)}
    sandbox = Sandbox(layers=[seed], scratch=work / "scratch", binds=binds, env=env)
    specs = [f"/work/specs/{number}.spec" for number in range(len(packages))]
    sandbox.run(["rpmbuild", "-bb", "--quiet", "--define", "_rpmdir /work", *specs])
    return work / "noarch"


@dataclass(frozen=True)
class Key:
    """An OpenPGP key of GnuPG, in a home of its own."""

    home: Path
    user: str
    at: str | None = None  # the time that its GnuPG lives in, as its option --faked-system-time takes it

    @classmethod
    def new(cls, home: Path, user: str = "Tester", *, expire: str = "never", at: str | None = None) -> Key:
        home.mkdir(parents=True, mode=0o700)
        key = cls(home, user, at)
        key.gpg("--quick-generate-key", f"{user} <{user.lower()}@example.invalid>", "rsa2048", "sign", expire)
        return key

    def gpg(self, *argv: str, input: bytes | None = None) -> bytes:
        command = ["gpg", "--homedir", str(self.home), "--batch", "--quiet"]
        if self.at is not None:
            command += ["--faked-system-time", self.at]
        secret = ["--pinentry-mode", "loopback", "--passphrase", ""]
        return subprocess.run([*command, *secret, *argv], input=input, check=True, stdout=subprocess.PIPE).stdout

    @property
    def public(self) -> bytes:
        return self.gpg("--armor", "--export")

    @property
    def fingerprint(self) -> str:
        lines = self.gpg("--with-colons", "--list-keys").decode().splitlines()
        return next(line for line in lines if line.startswith("fpr:")).split(":")[9]

    def sign(self, data: bytes, *, armor: bool = True) -> bytes:
        return self.gpg("--detach-sign", "--digest-algo", "SHA256", *(["--armor"] if armor else []), input=data)

    def revoke(self) -> None:
        """By the certificate that GnuPG makes with every key; a colon keeps it from being imported by accident."""
        [path] = (self.home / "openpgp-revocs.d").glob("*.rev")
        self.gpg("--import", input=path.read_bytes().replace(b":-----BEGIN", b"-----BEGIN"))

    def sign_rpm(self, path: Path, out: Path) -> None:
        """A copy with a signature of the header: https://rpm-software-management.github.io/rpm/manual/format_v4.html"""
        data = path.read_bytes()
        tags, end = _entries(data, 96)
        end += -end % 8
        _, header_end = _entries(data, end)
        signature = self.sign(data[end:header_end], armor=False)
        kept = [tag for tag in tags if tag[0] not in (RSA_HEADER, 62, 1008)]
        block = _header([*kept, (RSA_HEADER, BINARY, signature)], 62)
        out.write_bytes(data[:96] + block + b"\0" * (-len(block) % 8) + data[end:])


def _entries(data: bytes, start: int) -> tuple[list[Tag], int]:
    """The tags of a header in a package file, and where it ends."""
    count, size = struct.unpack(">ii", data[start + 8 : start + 16])
    store = start + 16 + 16 * count
    tags: list[Tag] = []
    for number in range(count):
        tag, kind, offset, length = struct.unpack(">iiii", data[start + 16 + 16 * number :][:16])
        at = store + offset
        if kind == INT32:
            tags.append((tag, kind, list(struct.unpack(f">{length}I", data[at : at + 4 * length]))))
        elif kind == STRING:
            tags.append((tag, kind, [data[at : data.index(b"\0", at)].decode()]))
        elif kind == BINARY:
            tags.append((tag, kind, data[at : at + length]))
        elif kind == INT16:
            tags.append((tag, kind, list(struct.unpack(f">{length}H", data[at : at + 2 * length]))))
    return tags, store + size


def publish(
    folder: Path, rpms: Sequence[Path], key: Key | None, *, revision: int | None = None, updateinfo: str | None = None
) -> None:
    """Copies of packages and their metadata, made by createrepo_c, which `key` signs."""
    tool = Path(sys.executable).with_name("createrepo_c")
    folder.mkdir(parents=True, exist_ok=True)
    for rpm in rpms:
        shutil.copy(rpm, folder)
    when = str(revision or int(time.time()))
    options = ["--quiet", "--revision", when, "--set-timestamp-to-revision", "--no-database", "--compatibility"]
    subprocess.run([str(tool), *options, str(folder)], check=True)
    if updateinfo:
        file = folder / "updateinfo.xml"
        file.write_text(updateinfo, encoding="utf-8")
        modify = ["--mdtype", "updateinfo", str(file), str(folder / "repodata")]
        subprocess.run([str(tool.with_name("modifyrepo_c")), *modify], check=True, stdout=subprocess.DEVNULL)
    sign_metadata(folder, key)


def sign_metadata(folder: Path, key: Key | None) -> None:
    signature = folder / "repodata" / "repomd.xml.asc"
    signature.unlink(missing_ok=True)
    if key:
        signature.write_bytes(key.sign((folder / "repodata" / "repomd.xml").read_bytes()))


@dataclass
class Host:
    """A root in which tdnf of the sandbox works by --installroot; its files are on this machine."""

    layers: Sequence[Path]
    work: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for folder in ("scratch", "root/etc/yum.repos.d", "root/etc/tdnf", "root/usr/lib", "keys"):
            (self.work / folder).mkdir(parents=True, exist_ok=True)
        (self.work / "root/usr/lib/os-release").write_text('VERSION_ID="1.0"\n', encoding="utf-8")

    @property
    def root(self) -> Path:
        return self.work / "root"

    def repo(self, name: str, url: str, *lines: str, key: Key | None = None) -> None:
        text = [f"[{name}]", f"name=Repository {name}", f"baseurl={url}", *lines]
        if key:
            (self.work / "keys" / f"{name}.asc").write_bytes(key.public)
            text.append(f"gpgkey=file:///lab/keys/{name}.asc")
        (self.root / "etc/yum.repos.d" / f"{name}.repo").write_text("\n".join(text) + "\n", encoding="utf-8")

    def run(self, *words: str, code: int = 0, stdin: bytes | None = None) -> Completed:
        """Run tdnf to its end; its exit code must be `code`."""
        done = self.sandbox.run(["tdnf", "--installroot", "/lab/root", *words], input=stdin, check=False, timeout=120)
        assert done.returncode == code, f"exit code {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, *words: str) -> Process:
        """Start tdnf, to be killed."""
        return self.sandbox.popen(
            ["tdnf", "--installroot", "/lab/root", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    @property
    def sandbox(self) -> Sandbox:
        return Sandbox(
            layers=self.layers,
            scratch=self.work / "scratch",
            binds=[Bind(self.work, "/lab", readonly=False, links=True)],
            env=self.environment,
            network=True,
        )

    def installed(self) -> list[str]:
        """NEVRAs, as rpm itself says."""
        argv = ["rpm", "--root", "/lab/root", "-qa", "--qf", "%{NAME}-%{VERSION}-%{RELEASE}\n"]
        return sorted(line for line in self.sandbox.run(argv).stdout.split() if not line.startswith("gpg-pubkey"))
