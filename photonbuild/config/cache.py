"""Shared caches, in order, and whose entries are believed: ``build/cache.yaml`` and `cache` of the user's file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from photonbuild.config.validation import Model, Name
from photonbuild.documents import nearest

SCHEMES = ("https", "http", "s3", "grpcs", "grpc")
# What a cache may do without: parts of packages that are rarely asked for, and images, which may not be for all.
Optional = Literal["debug", "source", "log", "image"]
TrustedKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*:[A-Za-z0-9+/]{43}=$")]


A = TypeVar("A", bound="CacheAddress")


def _address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise ValueError(f"'{parts.scheme}' is no kind of address{nearest(parts.scheme, SCHEMES)} (one of: {known})")
    if not parts.netloc or not value.isprintable() or set(value) & set(" ?#"):
        raise ValueError("an address like https://HOST/FOLDER is expected")
    if parts.username or parts.password:
        raise ValueError("credentials are not part of the address: ~/.netrc or 'token_file' holds them")
    return value.rstrip("/")


class CacheAddress(Model):
    """One cache: `path`, a folder, or `url`. `access: write`: who has the key adds to it what he builds."""

    name: Name
    path: Annotated[str, Field(min_length=1)] | None = None
    url: Annotated[str, AfterValidator(_address)] | None = None
    access: Literal["read", "write"] = "read"

    @model_validator(mode="after")
    def _one_place(self) -> CacheAddress:
        if (self.path is None) == (self.url is None):
            raise ValueError("a cache has either 'path' or 'url'")
        return self


class UserAddress(CacheAddress):
    """A cache of the user's: `token_file` holds a bearer token for the server. No project may name such a file.

    Of an engine's storage also what TLS needs: `authority` are certificates that the server's must come from instead of
    the system's, `certificate` and `certificate_key` the client's own.
    """

    token_file: str | None = None
    authority: str | None = None
    certificate: str | None = None
    certificate_key: str | None = None

    @model_validator(mode="after")
    def _token_over_tls(self) -> UserAddress:
        if self.token_file is not None and not (self.url or "").startswith(("https:", "grpcs:")):
            raise ValueError("a token goes to an https: or grpcs: address only")
        if (self.authority or self.certificate or self.certificate_key) and not (self.url or "").startswith("grpcs:"):
            raise ValueError("authority, certificate and certificate_key are of a grpcs: address")
        return self


def _names_once(value: tuple[A, ...]) -> tuple[A, ...]:
    names = [cache.name for cache in value]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"there are two caches '{twice[0]}'")
    return value


class ProjectCaches(Model):
    """``build/cache.yaml``. `trust`: public keys, as ``photonbuild cache key new`` prints them.

    `leave_out`: what is not sent: debuginfo, source packages and logs of packages, images.
    """

    caches: Annotated[tuple[CacheAddress, ...], AfterValidator(_names_once)] = ()
    trust: tuple[TrustedKey, ...] = ()
    leave_out: tuple[Optional, ...] = ()


class UserCaches(Model):
    """The user's own, before those of the project and in place of one of the same name. `key`: a private key's file."""

    caches: Annotated[tuple[UserAddress, ...], AfterValidator(_names_once)] = ()
    trust: tuple[TrustedKey, ...] = ()
    leave_out: tuple[Optional, ...] = ()
    key: str | None = None


def merged(user: UserCaches, projects: Iterable[ProjectCaches]) -> UserCaches:
    """What holds for a run: the user's own, then those of each root, the uppermost first."""
    caches = {cache.name: cache for cache in user.caches}
    trust, leave_out = list(user.trust), list(user.leave_out)
    for project in projects:
        for cache in project.caches:
            caches.setdefault(cache.name, UserAddress(**cache.model_dump()))
        trust += project.trust
        leave_out += project.leave_out
    return UserCaches(
        caches=tuple(caches.values()),
        trust=tuple(dict.fromkeys(trust)),
        leave_out=tuple(dict.fromkeys(leave_out)),
        key=user.key,
    )
