"""What the files of ``build/`` say of each other: profiles and images name only what there is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from photonbuild.config.models import BootImage, DiskImage, Image, Profile
from photonbuild.config.validation import Model
from photonbuild.documents import Document, nearest
from photonbuild.errors import ConfigError


def unknown(what: str, name: str, known: Iterable[str], *, where: str | None = None) -> ConfigError:
    names = sorted(known)
    return ConfigError(
        f"unknown {what} '{name}'{nearest(name, names)}",
        where=where,
        hint=f"known: {', '.join(names) or 'none'}",
    )


def check_profiles(profiles: Mapping[str, Profile], documents: Mapping[str, Document]) -> None:
    for stem, profile in profiles.items():
        document = documents[stem]
        if profile.name != stem:
            raise ConfigError(
                f"key 'name': '{profile.name}' must be the name of the file, '{stem}'",
                where=document.where("name"),
            )
        if profile.extends is not None and profile.extends not in profiles:
            raise unknown("profile", profile.extends, profiles, where=document.where("extends"))
    for stem in profiles:
        chain = [stem]
        while (parent := profiles[chain[-1]].extends) is not None:
            if parent in chain:
                loop = " extends ".join([*chain, parent])
                raise ConfigError(f"profiles extend each other: {loop}", where=documents[stem].where("extends"))
            chain.append(parent)


def _profile_names(model: Model, *loc: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """The names of profiles in the settings of an image, each with the place of its key."""
    for key in type(model).model_fields:
        value = getattr(model, key)
        if isinstance(value, Model):
            yield from _profile_names(value, *loc, key)
        elif key == "profile" or key.endswith("_profile"):
            yield (*loc, key), value


def check_images(
    images: Mapping[str, Image],
    profiles: Mapping[str, Profile],
    filesystems: Iterable[str],
    documents: Mapping[str, Document],
) -> None:
    for stem, image in images.items():
        for kind in image.disk.filesystems if isinstance(image, DiskImage) else ():
            if kind not in filesystems:
                where = documents[stem].where("disk")
                raise ConfigError(f"build/filesystems.yaml does not know '{kind}'", where=where)
        for loc, name in _profile_names(image):
            if name not in profiles:
                raise unknown("profile", name, profiles, where=documents[stem].where(*loc))
        seen: dict[str, int] = {}
        for index, file in enumerate(image.files):
            where = documents[stem].where("files", index, "path")
            if file.path in seen:
                raise ConfigError(f"file '{file.path}' is already set in line {seen[file.path]}", where=where)
            seen[file.path] = documents[stem].line(("files", index, "path"))
        if image.services and not isinstance(image, BootImage):
            raise ConfigError(
                "nothing starts services in an image that does not boot",
                where=documents[stem].where("services", key=True),
            )
