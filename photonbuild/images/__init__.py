"""Image formats: each is a function ImageRequest → ImageResult in a module, and a file in build/images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..rootfs import RootfsFile
from . import iso
from .request import ImageRequest, ImageResult

FORMATS: Mapping[str, Callable[[ImageRequest], ImageResult]] = {"iso": iso.build_iso}
# Files that a format wants in its root file system besides those of the packages.
ROOT_FILES: Mapping[str, Sequence[RootfsFile]] = {"iso": iso.ROOT_FILES}

__all__ = ["FORMATS", "ROOT_FILES", "ImageRequest", "ImageResult"]
