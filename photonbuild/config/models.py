"""What ``build/*.yaml`` and the user's file may hold, one class for each part."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator, model_validator

from photonbuild.config import values
from photonbuild.config.cache import UserCaches
from photonbuild.config.customisation import Customisation, Growing
from photonbuild.config.disk import Disk
from photonbuild.config.hardware import Hardware
from photonbuild.config.repositories import ClientRepository
from photonbuild.config.validation import Model, Name, Names

Person = Annotated[str, Field(pattern=r"^[^\s<>%]+( [^\s<>%]+)* <[^\s<>%@]+@[^\s<>%@]+>$")]


class Distribution(Model):
    """``build/distribution.yaml``: the identity that enters every digest. `packager`: who answers for the packages."""

    name: str
    id: Annotated[str, Field(pattern=r"^[a-z0-9._-]+$")]
    version: Annotated[str, Field(pattern=r"^[0-9][0-9.]*$")]
    dist: Annotated[str, Field(pattern=r"^\.[a-z0-9]+$")]
    vendor: Annotated[str, Field(pattern=r"^[a-z0-9]+$")]
    packager: Person
    triple: str
    arch: Literal["x86_64"]
    source_date_epoch: Annotated[int, Field(ge=0)]
    image_prefix: str
    home: str | None = None

    @field_validator("image_prefix")
    @classmethod
    def _only_known_fields(cls, value: str) -> str:
        for field in re.findall(r"\{([^}]*)\}", value):
            if field not in ("id", "version", "arch"):
                raise ValueError(f"unknown field '{{{field}}}' (one of: {{id}}, {{version}}, {{arch}})")
        return value

    @property
    def prefix(self) -> str:
        """First part of the names of image files, e.g. ``phos-1.0-x86_64``."""
        return self.image_prefix.format(id=self.id, version=self.version, arch=self.arch)


class Seed(Model):
    """One root of tools: packages of a Debian suite, as locked in `lock` (relative to ``build/``)."""

    suite: Name
    packages: Names
    lock: str
    exclude_paths: tuple[str, ...] = ()
    prune: tuple[str, ...] = ()
    go_toolchain: Annotated[str, Field(pattern=r"^go1\.[0-9]+\.[0-9]+$")] | None = None


class SeedLayer(Model):
    """Packages of the build seed's suite that lie over it, as locked in `lock` (relative to ``build/``)."""

    packages: Names
    lock: str
    prune: tuple[str, ...] = ()


class Seeds(Model):
    """``build/seed.yaml``: the tools that build, and what they own.

    `build` has what packages are built with, `image` what images are made with, `machine` what runs them.
    `layers`: each lies over the build seed where a spec's BuildRequires name one of its packages, and nowhere else.
    `owned`: patterns of our packages that never enter a build root. `capabilities`: names beyond the build
    seed's packages that a BuildRequires may use. Development files of the build seed belong to the Debian
    packages `devel_owners` or match `devel_allowed` (paths without the first slash). `toolchain`: patterns of
    capabilities of the seed's compiler and C library. `copies`: specs that may hold the seed's own ELF files.
    """

    build: Seed
    image: Seed
    machine: Seed
    layers: dict[Name, SeedLayer] = Field(default_factory=dict)
    owned: tuple[str, ...]
    capabilities: Names = ()
    devel_owners: Names = ()
    devel_allowed: tuple[str, ...] = ()
    toolchain: tuple[str, ...] = ()
    copies: Names = ()

    @field_validator("layers")
    @classmethod
    def _names_of_their_own(cls, value: dict[str, SeedLayer]) -> dict[str, SeedLayer]:
        if taken := value.keys() & cls.model_fields.keys():
            raise ValueError(f"'{min(taken)}' is a name of this file already")
        return value

    @property
    def names(self) -> tuple[str, ...]:
        """Every seed; what lies over another comes after it."""
        return ("build", "image", "machine", *sorted(self.layers))

    def named(self, name: str) -> Seed:
        """The seed of one of `names`; a layer has of the build seed what it does not say itself."""
        if name in self.layers:
            layer = self.layers[name]
            update = {"packages": layer.packages, "lock": layer.lock, "prune": layer.prune, "go_toolchain": None}
            return self.build.model_copy(update=update)
        return {"build": self.build, "image": self.image, "machine": self.machine}[name]

    def layers_of(self, capabilities: Iterable[str]) -> tuple[str, ...]:
        """The layers that have a package of one of these names."""
        wanted = set(capabilities)
        return tuple(name for name, layer in sorted(self.layers.items()) if wanted & set(layer.packages))

    def is_owned(self, package: str) -> bool:
        return any(fnmatch.fnmatchcase(package, pattern) for pattern in self.owned)

    @property
    def build_capabilities(self) -> frozenset[str]:
        """Every name by which a BuildRequires may ask for a tool of the build seed or of a layer over it."""
        layers = (layer.packages for layer in self.layers.values())
        return frozenset(self.build.packages).union(self.capabilities, *layers)


class Profile(Model):
    """``build/profiles/NAME.yaml``. `Config.profile` merges in what it extends, parents first."""

    name: Name
    description: str
    extends: Name | None = None
    first: Names = ()
    packages: Names = ()


class ImageFile(Growing):
    """A file of the image: `text` itself, or the file `source` of ``build/``, text or not."""

    added = frozenset({"owner", "group"})
    path: values.InnerPath
    text: str | None = None
    source: str | None = None
    mode: values.Mode = "0644"
    owner: values.Account = "root"
    group: values.Account = "root"

    @model_validator(mode="after")
    def _one_content(self) -> ImageFile:
        if (self.text is None) == (self.source is None):
            raise ValueError("a file has either 'text' or 'source'")
        return self


UnitState = Literal["enabled", "disabled", "masked"]
Platform = Literal["nocloud", "configdrive", "openstack", "ec2", "gce", "azure", "ovf"]


class Image(Customisation):
    """What every ``build/images/NAME.yaml`` may hold, whatever its format; each format has a subclass.

    `variant` is part of the file's name, where the suffix does not tell enough. `packages` are added to the profile's,
    `files` are written over what packages brought, `services` are units of the image, `repositories` are where its
    machines update from; a relative path of a key begins in ``build/``. `platform` is the cloud that
    gives the machine its name, keys and user data; without it the image asks none.
    """

    profile: Name
    variant: Annotated[str, Field(pattern=r"^(-[a-z0-9]+)*$")] = ""
    platform: Platform | None = None
    packages: Names = ()
    files: tuple[ImageFile, ...] = ()
    services: dict[values.Unit, UnitState] = Field(default_factory=dict)
    repositories: tuple[ClientRepository, ...] = ()
    exclude_docs: bool = False
    exclude_paths: tuple[str, ...] = ()

    if TYPE_CHECKING:
        # A field of each subclass, after those from here: their order is part of an image's identity.
        @property
        def format(self) -> str: ...


class BootImage(Image):
    """What an image that boots by itself may hold besides. `loader`: the spec of the boot loader."""

    loader: Name
    kernel_args: tuple[str, ...] = ()
    menu_timeout: Annotated[int, Field(ge=0)] = 3
    authorized_keys: tuple[str, ...] = ()


class DiskImage(BootImage):
    """A disk for BIOS and UEFI, in one of the forms in which hypervisors and clouds take them."""

    format: str
    disk: Disk
    machine: Hardware | None = None


class Runtime(Model):
    """A container runtime: the package that brings it, the unit that runs it, the check that judges it."""

    name: Name
    package: Name
    unit: str
    check: Name


class Runtimes(Model):
    """``build/runtimes.yaml``."""

    runtimes: tuple[Runtime, ...]


class Mirrors(Model):
    """Where to fetch from instead of what the host's own tools are set to.

    `debian_security`: the archive of Debian's security updates. `snapshot`: a service that has kept every file that the
    archives ever had, and gives it by its SHA-1 as ``/file/SHA1``. `debian_keyring`: the keys of a
    mirror that signs the indexes itself.
    """

    debian: str | None = None
    debian_security: str | None = None
    debian_keyring: str | None = None
    snapshot: str | None = None
    go: str | None = None
    cargo: str | None = None
    pypi: str | None = None


class Signing(Model):
    """An RSA key and the X.509 certificate of it, both PEM files, that an appliance is signed with."""

    key: str
    certificate: str


class PublicationSettings(Model):
    """Where this user's repository goes, and the OpenPGP key that signs it.

    `key`: the name of a key of his (photonbuild key show), the path of a file, or agent:FINGERPRINT. `targets`: names
    of folders, ssh: and s3: addresses.
    """

    key: str | None = None
    passphrase_file: str | None = None
    targets: dict[Name, str] = Field(default_factory=dict)


class Remote(Model):
    """An engine of remote execution that builds packages, and who we are there; see docs/use/remote.md.

    `authority`, `certificate`, `key`: PEM files; `token_file` holds a bearer token. `jobs`: builds asked for at once;
    `local_jobs`: builds here beside them. `recheck`: the share of builds that is done here as well, and compared.
    `platform`: properties that a worker must have.
    """

    address: str
    authority: str | None = None
    certificate: str | None = None
    key: str | None = None
    token_file: str | None = None
    jobs: Annotated[int, Field(ge=1, le=10_000)] = 64
    local_jobs: Annotated[int, Field(ge=0)] = 0
    recheck: Annotated[str, Field(pattern=r"^(100|[0-9]{1,2}(\.[0-9]+)?)%$")] = "0%"
    platform: dict[str, str] = Field(default_factory=dict)

    @property
    def share(self) -> float:
        """`recheck` as a number from 0 to 1."""
        return float(self.recheck.removesuffix("%")) / 100


class Limits(Model):
    """When a build is stopped, instead of by what it took before: hours in all, minutes without output, its memory."""

    hours: Annotated[float, Field(gt=0)] | None = None
    silent_minutes: Annotated[float, Field(gt=0)] = 15.0
    memory_gib: Annotated[float, Field(gt=0)] | None = None


class User(Model):
    """The user's file and the command line: nothing here changes what a package is built from.

    `packager`: the author of the changelog entries that ``photonbuild bump`` writes.
    """

    mirrors: Mirrors = Mirrors()
    signing: Signing | None = None
    publication: PublicationSettings = PublicationSettings()
    authorized_keys: tuple[str, ...] = ()
    packager: Person | None = None
    store: str | None = None
    jobs: Annotated[int, Field(ge=1)] | None = None
    limits: Limits = Limits()
    cache: UserCaches = UserCaches()
    remote: Remote | None = None
    # Where the machines of every image that boots update from, besides those of the image.
    repositories: tuple[ClientRepository, ...] = ()

    @property
    def store_path(self) -> Path | None:
        return Path(self.store).expanduser() if self.store is not None else None


class Rebuilds(Model):
    """``build/rebuilds.yaml``: how often each spec was built again with nothing of its own changed; see `bump`."""

    rebuilds: dict[Name, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
