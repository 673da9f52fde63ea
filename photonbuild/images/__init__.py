"""Image formats: each is a function ImageRequest → ImageResult in a module, and a file in build/images."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from . import iso
from .request import ImageRequest, ImageResult

FORMATS: Mapping[str, Callable[[ImageRequest], ImageResult]] = {"iso": iso.build_iso}

__all__ = ["FORMATS", "ImageRequest", "ImageResult"]
