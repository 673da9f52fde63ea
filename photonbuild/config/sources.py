"""What ``sources.yaml`` beside a spec may hold: fetched files with their providers, and files of the checkout."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from photonbuild.config.validation import Model, Name

Sha512 = Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]


class DebSrc(Model):
    """The original tarball of a Debian source package, by its path in the archive."""

    type: Literal["deb-src"]
    path: Annotated[str, Field(pattern=r"^pool/")]


class Snapshot(Model):
    """A file that a Debian archive once had, by its SHA-1, from a service that keeps them all."""

    type: Literal["snapshot"]
    sha1: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


class PyPI(Model):
    """A file of a project in the index of Python packages that the host's pip is set to."""

    type: Literal["pypi"]
    project: Name
    file: Annotated[str, Field(pattern=r"^[^/\s]+$")]


class Url(Model):
    type: Literal["url"]
    url: Annotated[str, Field(pattern=r"^https?://")]


class GoModule(Model):
    """``go mod vendor`` of a module as a normalised tar.

    The module is the folder `module` (relative to the spec's), or what the local tar `tar` holds of one. What is
    vendored is what the ``tool`` lines of its go.mod and its own ``.go`` files import, tests left out.
    """

    type: Literal["go-module"]
    module: str = "."
    tar: str | None = None


class Cargo(Model):
    """``cargo vendor`` of the crates that the Cargo.lock of a folder names, as a normalised tar.

    The folder is `crate` (relative to the spec's) and holds a Cargo.toml, too. Of crates that are not used with that on
    our platform only the manifests are in the tar, so that the lock stays true.
    """

    type: Literal["cargo"]
    crate: str = "."


class Local(Model):
    """A file that already lies on this machine, relative to the spec's folder unless absolute."""

    type: Literal["local"]
    path: str


Provider = Annotated[DebSrc | Snapshot | PyPI | Url | GoModule | Cargo | Local, Field(discriminator="type")]


def _part(value: str) -> str:
    """A file or folder below another one, in its simplest form."""
    if any(word in ("", ".", "..") for word in value.split("/")):
        raise ValueError(f"'{value}' is no plain path below the folder")
    return value


class SourceEntry(Model):
    """One fetched file. Every provider must yield exactly the bytes of `sha512`; they are tried in order.

    `sha512` and `size` may be absent only until ``sources lock`` fills them in. With `members` the file is a tar, and
    these files of it are the sources, under their last names, instead of the tar itself: the patches of a
    ``debian.tar.xz``, for one.
    """

    file: Annotated[str, Field(pattern=r"^[^/\s]+$")]
    sha512: Sha512 | None = None
    size: Annotated[int, Field(ge=0)] | None = None
    providers: Annotated[tuple[Provider, ...], Field(min_length=1)]
    members: tuple[Annotated[str, AfterValidator(_part)], ...] = ()
    upstream: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What this source is called among those of its spec: itself, or its members."""
        return tuple(member.rpartition("/")[2] for member in self.members) or (self.file,)


class LocalTar(Model):
    """A folder of the checkout (relative to the spec's) of which `parts`, or all of it, become the tar `tar`.

    In the tar everything lies below one folder, which has the tar's name. Tests and hidden files are left out.
    """

    tar: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*\.tar$")]
    folder: str
    parts: tuple[Annotated[str, AfterValidator(_part)], ...] = ()


def _form_of_local(value: object) -> str:
    return "as it is" if isinstance(value, str) else "packed"


# A union whose mistakes are those of the form that was meant.
LocalItem = Annotated[
    Annotated[str, Tag("as it is")] | Annotated[LocalTar, Tag("packed")],
    Discriminator(_form_of_local),
]


class SourcesFile(Model):
    """``specs/NAME/sources.yaml``. `local`: source files and folders of the checkout outside the spec's folder."""

    sources: tuple[SourceEntry, ...] = ()
    local: tuple[LocalItem, ...] = ()
