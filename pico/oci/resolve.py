"""The image that a reference means: one of the store, or one that is converted or pulled now."""

from __future__ import annotations

from pathlib import Path

from pico.builder import Builder
from pico.errors import PicoError
from pico.oci.reference import Reference
from pico.oci.store import Image, known


def resolve(
    root: Path, reference: Reference, builder: Builder, *, pull: str = "missing", verify_tls: bool = True
) -> Image:
    """The image of a reference, converted or pulled first if need be. `pull`: ``missing``, ``always`` or ``never``.

    Raises PicoError.
    """
    image = known(root, reference)
    remote = reference.kind == "registry"
    if image is not None and not (remote and pull == "always" and reference.has_host):
        return image
    if remote and pull == "never":
        raise PicoError(f"there is no image '{reference.text}' here", hint="pico images")
    if remote and not reference.has_host:
        raise PicoError(
            f"there is no image '{reference.text}' here", hint="a file, a folder, or with its registry: HOST/NAME:TAG"
        )
    from pico.oci.convert import convert  # slow to import

    return convert(root, reference, builder, verify_tls=verify_tls)
