"""What ``sources.yaml`` says of files of the checkout: each must be there, and in the checkout."""

from __future__ import annotations

from pathlib import Path

from photonbuild import pack
from photonbuild.config.sources import GoModule, LocalTar, SourcesFile
from photonbuild.documents import Document, nearest
from photonbuild.errors import ConfigError
from photonbuild.roots import Roots


def check(spec_dir: Path, sources: SourcesFile, document: Document, roots: Roots) -> None:
    """Raises ConfigError with the line. `spec_dir` is ``specs/NAME`` of one of the roots."""
    for index, item in enumerate(sources.local):
        if isinstance(item, LocalTar):
            folder, root = roots.beside(spec_dir, item.folder)
            _check(root, folder, f"local folder '{item.folder}'", document.where("local", index, "folder"))
            if not folder.is_dir():
                raise ConfigError(
                    f"local folder '{item.folder}' is a file",
                    where=document.where("local", index, "folder"),
                    hint="list the file's name alone",
                )
            for number, part in enumerate(item.parts):
                where = document.where("local", index, "parts", number)
                _check(root, folder / part, f"part '{part}'", where)
        else:
            path, root = roots.beside(spec_dir, item)
            _check(root, path, f"local file '{item}'", document.where("local", index))
            if not path.is_file():
                raise ConfigError(
                    f"local file '{item}' is a folder",
                    where=document.where("local", index),
                    hint=f"- {{tar: {Path(item).name}.tar, folder: {item}}}",
                )
    tars = [item.tar for item in sources.local if isinstance(item, LocalTar)]
    for index, entry in enumerate(sources.sources):
        for number, provider in enumerate(entry.providers):
            if isinstance(provider, GoModule) and provider.tar is not None and provider.tar not in tars:
                raise ConfigError(
                    f"'local' lists no tar '{provider.tar}'{nearest(provider.tar, tars)}",
                    where=document.where("sources", index, "providers", number, "tar"),
                )


def _check(root: Path, target: Path, what: str, where: str) -> None:
    if not target.exists() and not target.is_symlink():
        known = [path.name for path in target.parent.iterdir()] if target.parent.is_dir() else []
        raise ConfigError(f"{what} not found{nearest(target.name, known)}", where=where)
    try:
        pack.check_link(target, root)
    except pack.PackError as error:
        raise ConfigError(f"{what}: {error}", where=where) from None
