"""apt with a configuration of its own, which never looks at the system's state."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from photonbuild.config.models import Mirrors
from photonbuild.sources.mirrors import debian_mirrors, security_mirrors

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def sources_list(kind: str, settings: Mirrors, suite: str, besides: Sequence[str] = ()) -> tuple[str, ...]:
    """Lines of sources.list(5) of this kind (deb, deb-src): the suite, its security updates, SUITE-`besides`."""
    keyring = Path(settings.debian_keyring).expanduser() if settings.debian_keyring else KEYRING
    main, security = debian_mirrors(settings)[0], security_mirrors(settings)
    found = [f"{main} {name}" for name in (suite, *(f"{suite}-{each}" for each in besides))]
    found += [f"{security[0]} {suite}-security"] if security else []
    return tuple(f"{kind} [signed-by={keyring}] {place} main" for place in found)


def apt_configuration(folder: Path, sources: Sequence[str]) -> Path:
    """A private apt.conf(5) in `folder` with these lines of sources.list(5)."""
    for name in ("parts", "lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text("".join(f"{line}\n" for line in sources), encoding="utf-8")
    lines = {
        "Dir::Etc::SourceList": folder / "sources.list",
        "Dir::Etc::SourceParts": folder / "parts",
        "Dir::Etc::Parts": folder / "parts",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": folder / "parts",
        "Dir::State": folder,
        "Dir::State::Lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "APT::Sandbox::User": "root",
        "APT::Install-Recommends": "false",
        "APT::Architecture": "amd64",
        "APT::Architectures": "amd64",
        "Acquire::Languages": "none",
        "Acquire::ForceHash": "SHA256",
        "Acquire::Retries": "3",
    }
    conf = folder / "apt.conf"
    conf.write_text("".join(f'{key} "{value}";\n' for key, value in lines.items()), encoding="utf-8")
    return conf
