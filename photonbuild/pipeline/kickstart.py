"""A disk image from a kickstart: what an installation would do becomes the settings of an image, and no machine runs.

The settings lie in a root of their own below the user's, with the files that the kickstart names.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from photonbuild.config.load import load
from photonbuild.config.models import DiskImage
from photonbuild.documents import read_text
from photonbuild.errors import ConfigError
from photonbuild.installer.errors import FetchError, KickstartError
from photonbuild.installer.fetch.source import Source, candidates, parse_source
from photonbuild.installer.kickstart import parse
from photonbuild.installer.kickstart.model import DUALBOOT, Interface, Kickstart, Scripts
from photonbuild.installer.passwords import aging
from photonbuild.installer.plan import networkd
from photonbuild.installer.plan.additions import script
from photonbuild.installer.plan.make import unit_name
from photonbuild.pipeline.configuration import IMAGE_MODELS
from photonbuild.pipeline.kickstart_disks import disk_settings
from photonbuild.pipeline.session import Session
from photonbuild.roots import BUILD, Root, Roots

FOLDER = "kickstart"  # of build/, for what the kickstart names
# What an image has no place for, by the attribute of the kickstart; the rest is said where it is looked at.
IMPOSSIBLE = {
    "preinstall": "preinstall is run in the machine that is installed, and there is none",
    "prepkgsinstall": "prepkgsinstall is run in the live system, and there is none",
    "playbooks": "ansible is run by the live system, and there is none",
    "additional_rpms_path": "additional_rpms_path: an image is made of packages that are built here, from specs",
    "user_grub_cfg_file": "user_grub_cfg_file: write kernel_args into the image's own file",
}


@dataclass(frozen=True)
class _Draft:
    """The settings of an image as they grow: `data` of its file, `copies` of files and folders below ``build/``."""

    kickstart: Kickstart
    data: dict[str, Any]
    copies: dict[str, Path | str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def base(self) -> Source:
        return parse_source(f"file:{Path(self.kickstart.name).absolute()}")

    def add(self, key: str, *values: Any) -> None:
        self.data[key] = [*self.data.get(key, []), *values]

    def local(self, text: str) -> Path:
        """A file or folder that the kickstart names, on this machine. Raises FetchError, KickstartError."""
        tried = []
        for source in candidates(text, self.base, self.kickstart.search_path):
            path = Path(source.path)
            if source.scheme == "file" and path.exists():
                return path
            tried.append(source.name)
        hint = "an image is made of files of this machine: put it beside the kickstart, or into a folder of search_path"
        raise FetchError(f"no such file: {', '.join(tried)}", where=self.kickstart.name, hint=hint)

    def keep(self, content: Path | str) -> str:
        """Name in ``build/`` of a copy of this file, or of a file with this text."""
        name = f"{FOLDER}/{len(self.copies)}"
        self.copies[name] = content
        return name


@contextlib.contextmanager
def kickstart_image(session: Session, name: str, path: Path, params: Mapping[str, str]) -> Iterator[str]:
    """The name of an image that is like image `name` with what the kickstart says; the session has it while this lasts.

    What happens instead of what the kickstart says is told. Raises ConfigError for what an image cannot have, before
    anything is built.
    """
    base = session.config.image(name)
    if not isinstance(base, DiskImage):
        known = sorted(each for each, image in session.config.images.items() if isinstance(image, DiskImage))
        raise ConfigError(f"'{name}' is no disk image", where="--kickstart", hint=f"these are: {', '.join(known)}")
    kickstart = parse.load(path, params=params)
    stem = re.sub(r"[^a-z0-9]+", "", path.stem.lower()) or FOLDER
    new = f"{name}-{stem}"
    if new in session.config.images:
        raise ConfigError(f"there is an image '{new}' already", where=str(path), hint="give the kickstart another name")
    document = session.config.image_document(name)
    draft = _Draft(kickstart, {**document.data, "variant": f"{base.variant}-{stem}"})
    _fill(draft, base)
    for note in (*kickstart.notes, *draft.notes):
        session.reporter.info(f"note: {note}")
    config = session.config
    with session.store.staging() as work:
        _write(draft, work / BUILD, new)
        layers = (*config.roots.layers, Root(path=work, label=f"{kickstart.name} as "))
        session.config = load(Roots(layers), IMAGE_MODELS, user=config.user)
        try:
            yield new
        finally:
            session.config = config


def _write(draft: _Draft, build: Path, name: str) -> None:
    (build / "images").mkdir(parents=True)
    (build / FOLDER).mkdir()
    file = build / "images" / f"{name}.yaml"
    # A crypted password is in it.
    file.touch(mode=0o600)
    # JSON is YAML: nothing in a value can be taken for anything else.
    file.write_text(json.dumps(draft.data, indent=1), encoding="utf-8")
    for target, content in draft.copies.items():
        if isinstance(content, str):
            (build / target).write_text(content, encoding="utf-8")
            (build / target).chmod(0o700)
        elif content.is_dir():
            shutil.copytree(content, build / target, symlinks=True)
        else:
            shutil.copy2(content, build / target)


def _fill(draft: _Draft, base: DiskImage) -> None:
    kickstart = draft.kickstart
    reasons = [*kickstart.image_refusals]
    reasons += [f"{kickstart.name}: {text}" for key, text in IMPOSSIBLE.items() if getattr(kickstart, key)]
    reasons += [
        f"{kickstart.name}: '{key}' is of ${name}, which nothing sets" for key, name in kickstart.pending.items()
    ]
    if reasons:
        hint = "an installation does more: photonbuild kickstart explain FILE"
        raise KickstartError.of(reasons, "things cannot be in an image", hint=hint)
    if kickstart.partitions or kickstart.used_disks[0].size:
        draft.data["disk"] = disk_settings(kickstart, base, draft.notes)
    if kickstart.bootmode != DUALBOOT:
        draft.notes.append(f"{kickstart.name}: the image is started by BIOS and by UEFI, not by one of them alone")
    if kickstart.repos:
        draft.notes.append(f"{kickstart.name}: 'repos' are not asked: the packages are those that are built here")
    _system(draft, base)
    _network(draft)
    _added(draft)


def _system(draft: _Draft, base: DiskImage) -> None:
    kickstart = draft.kickstart
    if kickstart.hostname:
        draft.data["hostname"] = kickstart.hostname
    if kickstart.password is not None:
        users = [user for user in draft.data.get("users", []) if user.get("name") != "root"]
        draft.data["users"] = [*users, {"name": "root", "password": kickstart.password}]
        if kickstart.password_age is not None:
            draft.add("scripts", draft.keep(_age_script(kickstart.password_age)))
        if kickstart.password_age and kickstart.password_age > 0:
            draft.notes.append(f"{kickstart.name}: the password's age counts from the date of the image")
    if kickstart.public_key:
        draft.add("authorized_keys", kickstart.public_key)
    elif kickstart.password is None and not base.authorized_keys and base.platform is None:
        draft.notes.append(f"{kickstart.name}: neither a password nor a key: nobody can log in, except by a credential")
    if kickstart.services:
        states = {unit_name(name): state for name, state in kickstart.services.items()}
        draft.data["services"] = {**draft.data.get("services", {}), **states}


def _age_script(age: int) -> str:
    """Sets the last change and the most days of root's password; see shadow(5)."""
    changed, most = aging(age)
    fields = r"^\(root:[^:]*\):\([^:]*\):\([^:]*\):\([^:]*\):"
    replaced = ":".join((r"\1", changed or r"\2", r"\3", most or r"\4", ""))
    return f"#!/bin/sh\nexec sed -i 's/{fields}/{replaced}/' /etc/shadow\n"


def _network(draft: _Draft) -> None:
    kickstart = draft.kickstart
    interfaces = tuple(_without_old_name(draft, each) for each in kickstart.interfaces)
    for path, text in networkd.files(interfaces).items():
        draft.add("network_files", {"name": path.rpartition("/")[2], "text": text})
    for path, text in networkd.resolver(kickstart.nameservers, kickstart.search).items():
        draft.add("files", {"path": path, "text": text})
    if interfaces and draft.data.get("platform"):
        platform = draft.data["platform"]
        draft.notes.append(
            f"{kickstart.name}: where there is one, the network that {platform} gives goes before this one"
        )


def _without_old_name(draft: _Draft, interface: Interface) -> Interface:
    """Published kickstarts are for a system that calls cards eth0, eth1 …; the only one is whichever there is."""
    if not re.fullmatch(r"eth[0-9]{1,3}", interface.match_name):
        return interface
    name, kickstart = interface.match_name, draft.kickstart
    if sum(each.is_card for each in kickstart.interfaces) > 1:
        message = (
            f"'{name}': which of several cards that is only a machine tells; match by macaddress, or by its name here"
        )
        raise KickstartError(message, where=kickstart.name)
    draft.notes.append(f"{kickstart.name}: {name} is every Ethernet card of the machine")
    return replace(interface, match_name="")


def _added(draft: _Draft) -> None:
    kickstart = draft.kickstart
    packages = list(kickstart.packages)
    for name in kickstart.packagelist_files:
        path = draft.local(name)
        packages += parse.packages_listed(read_text(path, str(path)), str(path))
    if packages:
        known = draft.data.get("packages", [])
        draft.data["packages"] = list(dict.fromkeys([*known, *packages]))
    for text, destination in kickstart.additional_files:
        path = draft.local(text)
        target = destination + path.name if destination.endswith("/") else destination
        if path.is_dir():
            draft.add("trees", {"source": draft.keep(path), "path": target})
        else:
            mode = "0755" if path.stat().st_mode & 0o111 else "0644"
            kept = [file for file in draft.data.get("files", []) if file["path"] != target]
            draft.data["files"] = [*kept, {"path": target, "source": draft.keep(path), "mode": mode}]
    for image in kickstart.images:
        if image.method != "load" or len(image.tags) > 1:
            what = f"{image.name} is pulled from a registry" if image.method != "load" else "it has several tags"
            hint = "save it, and 'load' the archive with one tag"
            raise KickstartError(f"container image: {what}, which an image cannot do", where=kickstart.name, hint=hint)
        called = {"name": image.tags[0]} if image.tags else {}
        draft.add("containers", {"archive": draft.keep(draft.local(image.filename)), **called})
    _postinstall(draft, kickstart.postinstall)


def _postinstall(draft: _Draft, scripts: Scripts) -> None:
    texts = [script(scripts.lines, "postinstall", draft.kickstart.name)] if scripts.lines else []
    files = [draft.local(name) for name in scripts.files]
    for text in [*texts, *(read_text(path, str(path)) for path in files)]:
        draft.add("scripts", draft.keep(text))
