"""Settings of an image as the files that its programs read: kernel, locale, time, names, network, firewall, trust."""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2

from photonbuild.config.disk import Disk
from photonbuild.config.load import Config
from photonbuild.config.models import DiskImage, Image
from photonbuild.documents import Document
from photonbuild.errors import ConfigError
from photonbuild.images.customise import containers
from photonbuild.images.customise.customised import Need
from photonbuild.images.customise.entries import Entry, existing, text_entry
from photonbuild.images.customise.texts import check_rules, check_sections, content_text
from photonbuild.images.layout import LAYERED, LAYERS
from photonbuild.images.rootfs import UnitSetting

NAME = "90-image.conf"
BUNDLE = "/etc/pki/tls/certs/ca-bundle.crt"
ARCHIVE = "/usr/share/containers/preload.oci.tar"
SEED = "/var/lib/cloud/seed/nocloud"
PROGRAMS = {"ipv4": "/usr/sbin/iptables-restore", "ipv6": "/usr/sbin/ip6tables-restore"}
UNITS = "/etc/systemd/system"
GROW = "/usr/libexec/grow-volume-group"
READ_ONLY = {
    "/etc/ssh/sshd_config.d/10-host-keys.conf": "units/read-only-host-keys.conf",
    f"{UNITS}/sshd-keygen.service.d/10-read-only.conf": "units/read-only-sshd-keygen.conf",
    f"{UNITS}/systemd-resolved.service.d/10-read-only.conf": "units/read-only-resolved.conf",
}
Part = Entry | Need | UnitSetting


def settings(config: Config, image: Image, document: Document) -> Iterator[Part]:
    """Everything that the keys for single settings ask for. Raises ConfigError."""
    for part in (_disk, _kernel, _language, _network, _certificates, _first_boot, _containers, _cloud_init):
        yield from part(config, image, document)


def _disk(config: Config, image: Image, document: Document) -> Iterator[Part]:
    if not isinstance(image, DiskImage):
        return
    for path in image.disk.paths:
        yield Entry(path=path, kind="folder", mode=0, where=document.where("disk"))
    yield from _volume_groups(config, image.disk, document)
    if not image.disk.read_only:
        return
    where = document.where("disk", "read_only")
    if image.platform is not None:
        raise ConfigError(
            "read_only: what gives a machine its settings from a cloud writes them into /etc", where=where
        )
    for name in LAYERED:
        for folder in ("upper", "work"):
            mode = 0o700 if name == "root" else 0o755
            yield Entry(path=f"{LAYERS}/{name}/{folder}", kind="folder", mode=mode, where=where)
    # Mount points have to be there, and nobody can write down in /etc that an update is complete.
    yield Entry(path="/boot/efi", kind="folder", mode=0o755, where=where)
    yield UnitSetting(unit="systemd-update-done.service", state="masked", where=where)
    # Host keys are made at the first boot, in /var as well.
    for path, source in READ_ONLY.items():
        text = existing(config.roots, source, where=where).read_text(encoding="utf-8")
        yield text_entry(path, text, where=where)


def _volume_groups(config: Config, disk: Disk, document: Document) -> Iterator[Part]:
    """What gives a group, at each start, the room that its disks have got since."""
    if not disk.volume_groups:
        return
    where = document.where("disk", "volume_groups")
    program = existing(config.roots, f"units/{Path(GROW).name}", where=where).read_text(encoding="utf-8")
    yield text_entry(GROW, program, mode=0o755, where=where)
    if disk.read_only:
        text = existing(config.roots, "units/read-only-lvm.conf", where=where).read_text(encoding="utf-8")
        yield text_entry("/etc/lvm/lvmlocal.conf", text, where=where)
    for group in disk.volume_groups:
        rest = next((volume.name for volume in group.volumes if volume.size is None), None)
        facts = {"group": group.name, "volume": rest}
        yield from _unit(config, "volume-group", facts, name=f"volume-group-{group.name}", where=where)


def _kernel(config: Config, image: Image, document: Document) -> Iterator[Part]:
    if image.sysctl:
        lines = "".join(f"{name} = {value}\n" for name, value in image.sysctl.items())
        yield text_entry(f"/etc/sysctl.d/{NAME}", lines, where=document.where("sysctl", key=True))
    modules = image.modules
    if modules is None:
        return
    if both := set(modules.load) & set(modules.deny):
        raise ConfigError(f"'{min(both)}' cannot be both loaded and denied", where=document.where("modules", "deny"))
    used = {"load": modules.load, "deny": modules.deny, "options": tuple(modules.options)}
    for use, names in used.items():
        for index, name in enumerate(names):
            place: int | str = name if use == "options" else index
            where = document.where("modules", use, place)
            yield Need(kind="module", name=name.replace("-", "_"), why=f"modules.{use}", use=use, where=where)
    where = document.where("modules", key=True)
    if modules.load:
        yield text_entry(f"/etc/modules-load.d/{NAME}", "".join(f"{name}\n" for name in modules.load), where=where)
    lines = "".join(f"blacklist {name}\ninstall {name} /usr/bin/false\n" for name in modules.deny)
    lines += "".join(f"options {name} {value}\n" for name, value in modules.options.items())
    if lines:
        yield text_entry(f"/etc/modprobe.d/{NAME}", lines, where=where)


def _language(config: Config, image: Image, document: Document) -> Iterator[Part]:
    if image.locale:
        where = document.where("locale")
        yield Need(kind="locale", name=image.locale, why="locale", where=where)
        yield text_entry("/etc/locale.conf", f"LANG={image.locale}\n", where=where)
    if image.timezone:
        where, path = document.where("timezone"), f"usr/share/zoneinfo/{image.timezone}"
        yield Need(kind="file", name=f"/{path}", why=f"time zone '{image.timezone}'", where=where)
        yield Entry(path="/etc/localtime", kind="link", target=f"../{path}", where=where)
    if image.keyboard:
        where = document.where("keyboard")
        why = f"keyboard '{image.keyboard}', whose key map nothing in the image would load"
        yield Need(kind="file", name="/usr/bin/loadkeys", why=why, where=where)
        yield Need(kind="keymap", name=image.keyboard, why="keyboard", where=where)
        yield text_entry("/etc/vconsole.conf", f"KEYMAP={image.keyboard}\n", where=where)
        yield from _unit(config, "keymap", {"keyboard": image.keyboard}, where=where)


def _network(config: Config, image: Image, document: Document) -> Iterator[Part]:
    seen: dict[str, int] = {}
    for index, file in enumerate(image.network_files):
        where = document.where("network_files", index, "name")
        if file.name in seen:
            raise ConfigError(f"file '{file.name}' is already set in line {seen[file.name]}", where=where)
        seen[file.name] = document.line(("network_files", index, "name"))
        text = content_text(config, document, file, "network_files", index)
        check_sections(text, file.name.rpartition(".")[2])
        yield text_entry(f"/etc/systemd/network/{file.name}", text.text, where=where)
    if image.firewall is None:
        return
    found = {"ipv4": image.firewall.ipv4, "ipv6": image.firewall.ipv6}
    for family, content in found.items():
        if content is not None:
            text = content_text(config, document, content, "firewall", family)
            check_rules(text)
            where = document.where("firewall", family, key=True)
            yield Need(kind="file", name=PROGRAMS[family], why=f"firewall.{family}", where=where)
            path = f"/etc/firewall/{family}.rules"
            yield text_entry(path, f"{text.text.rstrip()}\n", mode=0o600, where=where)
    programs = {family: program for family, program in PROGRAMS.items() if found[family] is not None}
    yield from _unit(config, "firewall", {"programs": programs}, where=document.where("firewall", key=True))


def _certificates(config: Config, image: Image, document: Document) -> Iterator[Part]:
    for index, source in enumerate(image.certificates):
        where = document.where("certificates", index)
        text = authorities(existing(config.roots, source, where=where), where=where)
        yield text_entry(BUNDLE, text, kind="append", where=where)


def authorities(path: Path, *, where: str) -> str:
    """The certificates of a PEM file, each an authority's, with their subjects before them. Raises ConfigError."""
    name = f"'build/…/{path.name}'"
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"{name} is no PEM file", where=where) from None
    if "PRIVATE KEY" in text:
        raise ConfigError(f"{name} has a private key in it, which belongs into no image", where=where)
    blocks = re.findall(r"-----BEGIN CERTIFICATE-----\n.*?\n-----END CERTIFICATE-----", text, re.DOTALL)
    if not blocks:
        raise ConfigError(f"{name} has no certificate in the form of PEM", where=where)
    for number, block in enumerate(blocks, 1):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(cadata=block)
        except ssl.SSLError as error:
            raise ConfigError(f"certificate {number} of {name} cannot be read: {error.reason}", where=where) from None
        if context.cert_store_stats()["x509_ca"] != 1:
            raise ConfigError(f"certificate {number} of {name} is no authority's: it can vouch for none", where=where)
    return "".join(f"\n{block}\n" for block in blocks)


def _first_boot(config: Config, image: Image, document: Document) -> Iterator[Part]:
    seen: dict[str, int] = {}
    for index, program in enumerate(image.first_boot):
        where = document.where("first_boot", index, "name")
        if program.name in seen:
            raise ConfigError(f"'{program.name}' is already there, in line {seen[program.name]}", where=where)
        seen[program.name] = document.line(("first_boot", index, "name"))
        text = content_text(config, document, program, "first_boot", index)
        if not text.text.startswith("#!/"):
            line = f"{text.name}:{text.line}"
            raise ConfigError("a program's first line is that of its interpreter, like #!/bin/sh", where=line)
        interpreter = text.text[2:].split(None, 1)[0]
        yield Need(kind="file", name=interpreter, why=f"the interpreter of '{program.name}'", where=where)
        yield text_entry(f"/usr/libexec/first-boot/{program.name}", text.text, mode=0o755, where=where)
        facts = {"name": program.name, "after": program.after}
        yield from _unit(config, "first-boot", facts, name=f"first-boot-{program.name}", where=where)


def _containers(config: Config, image: Image, document: Document) -> Iterator[Part]:
    found: dict[str, containers.ContainerImage] = {}
    for index, container in enumerate(image.containers):
        where = document.where("containers", index, "archive")
        path = existing(config.roots, container.archive, where=where)
        arch = config.distribution.arch
        for each in containers.read_archive(path, arch=arch, name=container.name, where=where):
            if each.name in found:
                raise ConfigError(
                    f"an image '{each.name}' comes from '{found[each.name].archive.name}', too", where=where
                )
            found[each.name] = each
    if not found:
        return
    where, images = document.where("containers", key=True), list(found.values())
    # A blob has the digest that it is named by, which is checked when it is copied: the index decides on every byte.
    digest = hashlib.sha256(containers.merged_index(images)).hexdigest()
    yield Need(kind="file", name="/usr/bin/docker", why="containers", where=where)
    yield Entry(
        path=ARCHIVE,
        sha256=digest,
        make=lambda target: containers.write_merged(images, target),
        where=where,
    )
    yield from _unit(config, "preload", {"archive": ARCHIVE, "digest": digest[:16]}, where=where)


def _cloud_init(config: Config, image: Image, document: Document) -> Iterator[Part]:
    wanted = image.cloud_init
    if wanted is None:
        return
    where = document.where("cloud_init", key=True)
    if image.platform != "nocloud":
        raise ConfigError(
            "what the image itself tells cloud-init is a seed of the source NoCloud: it needs 'platform: nocloud'",
            where=where,
        )
    name = f"local-hostname: {image.hostname}\n" if image.hostname else ""
    files = {
        "meta-data": f"instance-id: image\n{name}",
        "user-data": content_text(config, document, wanted.user_data, "cloud_init", "user_data").text,
    }
    if wanted.network_config:
        text = content_text(config, document, wanted.network_config, "cloud_init", "network_config")
        files["network-config"] = text.text
    for file, content in files.items():
        yield text_entry(f"{SEED}/{file}", content, mode=0o600, where=where)


def _unit(
    config: Config, template: str, facts: Mapping[str, Any], *, where: str, name: str | None = None
) -> Iterator[Part]:
    """A unit from ``build/units``, enabled."""
    source = existing(config.roots, f"units/{template}.service.j2", where=where).read_text(encoding="utf-8")
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True, autoescape=False
    )
    unit = f"{name or template}.service"
    yield text_entry(f"{UNITS}/{unit}", environment.from_string(source).render(**facts), where=where)
    yield UnitSetting(unit=unit, state="enabled", where=where)
