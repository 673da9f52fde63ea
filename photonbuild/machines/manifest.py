"""The manifest beside a published image, as far as a test machine has to know it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from photonbuild.errors import VerifyError

HINT = "keep the manifest beside the image, or say --platform NAME (none for an image of no cloud)"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """An image's platform, the files that its configuration set, and the names of its packages.

    `packages` is None where there is no manifest: then what the image should hold is not known.
    """

    platform: str | None
    configured: tuple[str, ...] = ()
    packages: frozenset[str] | None = None


def further_files(image: Path) -> list[Path]:
    """The files of an image's further disks, in order, which lie beside it. Raises VerifyError where one is missing.

    Without a manifest there are none; what is wrong with one is said by `read_manifest`.
    """
    path = image.with_name(f"{image.name}.manifest.json")
    try:
        disks = json.loads(path.read_text(encoding="utf-8")).get("disks", [])
        files = [image.with_name(Path(disk["file"]).name) for disk in disks]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    for file in files:
        if not file.is_file():
            raise VerifyError("a disk of the image is not there", where=str(file), hint="keep its files together")
    return files


def read_manifest(image: Path, *, platform: str | None = None) -> Manifest:
    """What the manifest beside `image` says; with `platform`, a name or ``none``, that is taken for granted.

    Raises VerifyError when there is no manifest and no `platform`, or when the manifest is not one of ours.
    """
    path = image.with_name(f"{image.name}.manifest.json")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        manifest = Manifest(
            platform=content["platform"],
            configured=tuple(content["configured"]),
            packages=frozenset(package["name"] for package in content["packages"]),
        )
    except FileNotFoundError:
        if platform is None:
            raise VerifyError("there is no manifest beside the image", where=str(path), hint=HINT) from None
        manifest = Manifest(platform=None)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VerifyError(f"the manifest is damaged: {error!r}", where=str(path), hint=HINT) from None
    if platform is not None:
        manifest = replace(manifest, platform=None if platform == "none" else platform)
    return manifest
