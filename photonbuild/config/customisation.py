"""What an image may have besides its packages, whatever its format: accounts, files, settings, scripts, containers."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    field_serializer,
    model_serializer,
    model_validator,
)

from photonbuild.config import values
from photonbuild.config.validation import Model


class Growing(Model):
    """A part that got keys after images had been made from it: those are in a dump only where they are set.

    A dump is part of an image's identity, which what nobody asked for must not change.
    """

    added: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_what_is_not_set(
        self, dump: SerializerFunctionWrapHandler, info: SerializationInfo[Any]
    ) -> dict[str, Any]:
        """All of it where the context has ``whole``, as for who reads a description."""
        fields = type(self).model_fields
        whole: dict[str, Any] = dump(self)
        if info.context and info.context.get("whole"):
            return whole
        unset = {
            name for name in self.added if getattr(self, name) == fields[name].get_default(call_default_factory=True)
        }
        return {name: value for name, value in whole.items() if name not in unset}


class Content(Model):
    """A text that stands in the settings themselves, or the file `source` of ``build/``."""

    text: str | None = None
    source: values.Source | None = None

    @model_validator(mode="after")
    def _one_content(self) -> Content:
        if (self.text is None) == (self.source is None):
            raise ValueError("either 'text' or 'source' is needed, and not both")
        return self


class Group(Model):
    """A group of its own. Without `gid` it gets the first that no other one of the image's own accounts has."""

    name: values.Account
    gid: values.Id | None = None


class UserAccount(Model):
    """An account for a person or a program; what a package's account lacks, if it has the name of one.

    `password`: crypted, see crypt(5); without one nobody logs in by password. `group`: the first group, by
    default one of the user's own name and id.
    """

    name: values.Account
    uid: values.Id | None = None
    group: values.Account | None = None
    groups: tuple[values.Account, ...] = ()
    comment: values.OneLine | None = None
    home: values.InnerPath | None = None
    shell: values.InnerPath | None = None
    password: values.Crypted | None = None
    authorized_keys: tuple[values.PublicKey, ...] = ()

    @field_serializer("password")
    def _not_written_down(self, value: str | None) -> str | None:
        return None if value is None else f"sha256:{hashlib.sha256(value.encode()).hexdigest()}"


class Permissions(Model):
    """Owner, group and mode of what matches in a tree; what is not said stays."""

    owner: values.Account | None = None
    group: values.Account | None = None
    mode: values.Mode | None = None


class Tree(Model):
    """The folder `source` of ``build/``, laid over its folder `path`: links as they are, files with 0644 or 0755.

    `permissions`: by path in the image, where * stands for any part of one; the last that matches counts.
    """

    source: values.Source
    path: values.InnerFolder = "/"
    owner: values.Account = "root"
    group: values.Account = "root"
    permissions: dict[values.InnerPath, Permissions] = Field(default_factory=dict)


ModuleName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]


class Modules(Model):
    """Kernel modules: those to `load` when the system starts, those that nothing may load, and `options` of some."""

    load: tuple[ModuleName, ...] = ()
    deny: tuple[ModuleName, ...] = ()
    options: dict[ModuleName, Annotated[str, Field(pattern=r"^[^\n]+$")]] = Field(default_factory=dict)


class NetworkFile(Content):
    """A file of systemd-networkd: systemd.network(5), systemd.netdev(5), systemd.link(5)."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._@-]+\.(network|netdev|link)$")]


class Firewall(Model):
    """Rules that are there before the network is, in the form of iptables-save(8)."""

    ipv4: Content | None = None
    ipv6: Content | None = None

    @model_validator(mode="after")
    def _some(self) -> Firewall:
        if self.ipv4 is None and self.ipv6 is None:
            raise ValueError("rules for 'ipv4' or 'ipv6' are needed")
        return self


class FirstBoot(Content):
    """A program that runs once, when the system starts for the first time, and again at each start until it succeeds.

    `after`: units that it waits for.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
    after: tuple[values.Unit, ...] = ()


class Container(Model):
    """A container image for Docker: `archive`, an OCI image layout in a tar. `name`: instead of the archive's own."""

    archive: values.Source
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._/:-]*:[A-Za-z0-9_][A-Za-z0-9_.-]*$")] | None = None


class CloudInit(Model):
    """What cloud-init is told by the image itself, checked against its own schemas."""

    user_data: Content
    network_config: Content | None = None


def _sysctl(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9_]+([./][A-Za-z0-9_*:@-]+)+", value):
        raise ValueError(f"'{value}' is no name of a kernel parameter, like net.ipv4.ip_forward")
    return value


def _parameter(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Parameter = Annotated[str, BeforeValidator(_parameter, json_schema_input_type=str | int), Field(pattern=r"^[^\n]*$")]


class Customisation(Growing):
    """The keys of every image that say what it has besides its packages. A relative path begins in ``build/``.

    They are carried out in this order: groups and users, trees, settings, scripts, removed files. `scripts` run in the
    image without network, as root. `certificates` are authorities that the image trusts.
    """

    groups: tuple[Group, ...] = ()
    users: tuple[UserAccount, ...] = ()
    trees: tuple[Tree, ...] = ()
    remove: tuple[values.InnerPath, ...] = ()
    hostname: values.HostName | None = None
    locale: Annotated[str, Field(pattern=r"^[A-Za-z_]+(\.[A-Za-z0-9-]+)?(@[a-z]+)?$")] | None = None
    timezone: values.TimeZone | None = None
    keyboard: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] | None = None
    sysctl: dict[Annotated[str, AfterValidator(_sysctl)], Parameter] = Field(default_factory=dict)
    modules: Modules | None = None
    network_files: tuple[NetworkFile, ...] = ()
    firewall: Firewall | None = None
    certificates: tuple[values.Source, ...] = ()
    first_boot: tuple[FirstBoot, ...] = ()
    scripts: tuple[values.Source, ...] = ()
    containers: tuple[Container, ...] = ()
    cloud_init: CloudInit | None = None


KEYS = frozenset(Customisation.model_fields)
# What nothing would heed in an image that does not start by itself.
OF_MACHINES = (
    *("hostname", "keyboard", "sysctl", "modules", "network_files", "firewall"),
    *("first_boot", "containers", "cloud_init"),
)
Customisation.added = KEYS
