"""The image formats: one module each, found by listing this folder. `FORMATS` is read wherever formats differ."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping

from photonbuild.images.format import Format


def discover(folders: Iterable[str], package: str) -> Mapping[str, Format]:
    """The FORMAT of each module in `folders`, which are those of `package`, by name."""
    found: dict[str, Format] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(folders)):
        value = importlib.import_module(f"{package}.{module}").FORMAT
        assert isinstance(value, Format) and value.name == module, f"{package}.{module} is to export its FORMAT"
        found[module] = value
    return found


FORMATS = discover(__path__, __name__)
