"""From the text of a kickstart to its frozen data. Every mistake is reported at once, with file, line and key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from photonbuild.documents import Document, Problem, fail, parse_json, parse_yaml, read_text
from photonbuild.installer.errors import KickstartError
from photonbuild.installer.kickstart.crosschecks import CROSS_CHECKS
from photonbuild.installer.kickstart.keys import KICKSTART
from photonbuild.installer.kickstart.kinds import check, with_defaults
from photonbuild.installer.kickstart.model import Interface, Kickstart, LogicalVolume, Partition, Repository


def load(path: Path, *, name: str | None = None) -> Kickstart:
    """Read and check a file. Raises ConfigError."""
    name = name or str(path)
    return parse(read_text(path, name), name)


def parse(text: str, name: str) -> Kickstart:
    """Check JSON or YAML. Raises ConfigError with every mistake, each with the file's `name` and its line."""
    is_json = name.endswith(".json") or (not name.endswith((".yaml", ".yml")) and text.lstrip().startswith("{"))
    return from_document(parse_json(text, name) if is_json else parse_yaml(text, name))


def from_document(document: Document) -> Kickstart:
    """Check what is parsed. Raises ConfigError as `parse` does."""
    if not isinstance(document.data, dict):
        raise fail(document.name, [Problem(line=1, message="a mapping of keys to values is expected")])
    faults = list(check(document.data, KICKSTART))
    faulty = {fault.loc[0] for fault in faults if fault.loc}
    data = with_defaults(document.data, KICKSTART)
    for keys, find in CROSS_CHECKS:
        # How keys go together is looked at where they are right by themselves.
        if not faulty & set(keys):
            faults.extend(find(data))
    if faults:
        problems = [Problem(line=document.line(f.loc, key=f.key), message=f.message) for f in faults]
        error = fail(document.name, problems)
        raise KickstartError(error.message, where=error.where, detail=error.detail)
    return _kickstart(document.name, data)


def _kickstart(name: str, data: Mapping[str, Any]) -> Kickstart:
    password, key, network = data.get("password", {}), data.get("public_key", ""), data.get("network", {})
    crypted = data.get("shadow_password", password.get("text", ""))
    return Kickstart(
        name=name,
        disk=data["disk"],
        hostname=data.get("hostname", network.get("hostname", "")),
        # Asterisks and exclamation marks are no password at all.
        password=crypted if crypted.strip("*!") else None,
        password_age=password.get("age"),
        public_key=(key if isinstance(key, str) else key["key"]).strip(),
        partitions=tuple(_partition(number, entry) for number, entry in enumerate(data["partitions"], 1)),
        bootmode=data["bootmode"],
        packages=tuple(dict.fromkeys([*data.get("packages", ()), *data.get("additional_packages", ())])),
        repos=tuple(
            Repository(name=key, baseurl=repo["baseurl"])
            for key, repo in data.get("repos", {}).items()
            if repo["enabled"]
        ),
        interfaces=tuple(
            _interface(key, entry) for kind in ("ethernets", "vlans") for key, entry in network.get(kind, {}).items()
        ),
        services=dict(data.get("services", {})),
        additional_files=tuple(pair for entry in data.get("additional_files", ()) for pair in entry.items()),
        postinstall=tuple(data.get("postinstall", ())),
        log_level=data["log_level"],
        eject_cdrom=data["eject_cdrom"],
    )


def _partition(number: int, entry: Mapping[str, Any]) -> Partition:
    lvm = LogicalVolume(**entry["lvm"]) if "lvm" in entry else None
    return Partition(**{**entry, "number": number, "lvm": lvm})


def _interface(key: str, entry: Mapping[str, Any]) -> Interface:
    match, nameservers = entry.get("match", {}), entry.get("nameservers", {})
    return Interface(
        key=key,
        match_name=match.get("name", "" if match else key),
        match_macaddress=match.get("macaddress", ""),
        dhcp4=entry["dhcp4"],
        dhcp6=entry["dhcp6"],
        accept_ra=entry.get("accept-ra"),
        addresses=tuple(entry.get("addresses", ())),
        gateway=entry.get("gateway", ""),
        nameservers=tuple(nameservers.get("addresses", ())),
        search=tuple(nameservers.get("search", ())),
        vlan_id=entry.get("id"),
        link=entry.get("link", ""),
    )
