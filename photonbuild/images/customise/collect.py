"""From the settings of an image to what is put into its root: every file that they name is read, and checked."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence

from photonbuild.config.customisation import KEYS, OF_MACHINES
from photonbuild.config.load import Config
from photonbuild.config.models import BootImage, Image
from photonbuild.documents import Document, Problem, fail
from photonbuild.errors import ConfigError
from photonbuild.images.customise.accounts import accounts
from photonbuild.images.customise.customised import Customised, Need, Script
from photonbuild.images.customise.entries import Entry, existing, file_entry, tree_entries
from photonbuild.images.customise.settings import settings
from photonbuild.images.rootfs import UnitSetting


def customise(config: Config, name: str, image: Image) -> Customised:
    """What the settings of image `name` ask for besides packages, text files and states of units.

    Raises ConfigError with file, line and the nearest name; nothing has been written then.
    """
    document = config.image_document(name)
    _check_bootable(image, document)
    groups, users = accounts(image, document)
    binaries, owners = _files(config, name, image, document)
    parts = list(settings(config, image, document))
    own = [part for part in parts if isinstance(part, Entry)] + binaries
    # What is named by itself goes over what comes with a folder.
    named = {entry.path for entry in own if entry.kind != "append"} | {file.path for file in image.files}
    trees = [entry for entry in _trees(config, image, document) if entry.path not in named]
    _check_twice(own, {file.path: index for index, file in enumerate(image.files)}, document)
    return Customised(
        groups=groups,
        users=users,
        entries=[*trees, *own],
        owners=owners,
        scripts=list(_scripts(config, image, document)),
        remove=[(pattern, document.where("remove", index)) for index, pattern in enumerate(image.remove)],
        needs=[part for part in parts if isinstance(part, Need)],
        units=[part for part in parts if isinstance(part, UnitSetting)],
    )


def _check_bootable(image: Image, document: Document) -> None:
    if isinstance(image, BootImage):
        return
    problems = [
        Problem(
            line=document.line((key,), key=True),
            message=f"key '{key}' means nothing in an image that does not boot",
        )
        for key in OF_MACHINES
        if key in KEYS and getattr(image, key)
    ]
    if problems:
        raise fail(document.name, problems)


def _files(
    config: Config, name: str, image: Image, document: Document
) -> tuple[list[Entry], list[tuple[str, str, str]]]:
    """Files of the settings that are no text, and the owners of those that are and belong to another than root."""
    binaries, owners = [], []
    texts = {file.path for file, _ in config.image_files(name)}
    for index, file in enumerate(image.files):
        if file.path in texts:
            if (file.owner, file.group) != ("root", "root"):
                owners.append((file.path, file.owner, file.group))
            continue
        assert file.source is not None
        where = document.where("files", index, "source")
        source = existing(config.roots, file.source, where=where)
        mode = int(file.mode, 8)
        binaries.append(file_entry(file.path, source, where=where, mode=mode, owner=file.owner, group=file.group))
    return binaries, owners


def _trees(config: Config, image: Image, document: Document) -> Iterator[Entry]:
    """Entries of all trees; of two for one path the later tree's counts."""
    found = (
        tree_entries(config.roots, tree, where=document.where("trees", index, "source"))
        for index, tree in enumerate(image.trees)
    )
    yield from {entry.path: entry for entry in itertools.chain.from_iterable(found)}.values()


def _check_twice(own: Sequence[Entry], files: dict[str, int], document: Document) -> None:
    """Raises ConfigError where a file of `files:` is one that another key of the image writes."""
    for entry in own:
        if entry.path in files and not entry.where.startswith(document.where("files", files[entry.path], "source")):
            place = entry.where.rpartition(":")[2]
            where = document.where("files", files[entry.path], "path")
            raise ConfigError(f"file '{entry.path}' is already set by the key in line {place}", where=where)


def _scripts(config: Config, image: Image, document: Document) -> Iterator[Script]:
    for index, name in enumerate(image.scripts):
        where = document.where("scripts", index)
        content = existing(config.roots, name, where=where).read_bytes()
        if not content.startswith(b"#!/"):
            message = f"the first line of 'build/{name}' names no interpreter, like #!/bin/sh"
            raise ConfigError(message, where=where)
        yield Script(name=name, sha256=hashlib.sha256(content).hexdigest(), content=content, where=where)
