"""Image formats: each is a function ImageRequest → ImageResult in a module, and a file in build/images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from photonbuild.config.models import Image
from photonbuild.images import cloud, disk, iso, oci, ova, pico
from photonbuild.images.request import ImageRequest, ImageResult, InstallerSets
from photonbuild.images.rootfs import RootfsFile

FORMATS: Mapping[str, Callable[[ImageRequest], ImageResult]] = {
    "iso": iso.build_iso,
    "raw": disk.build_raw,
    "qcow2": disk.build_qcow2,
    "ova": ova.build_ova,
    "ami": cloud.build_ami,
    "gce": cloud.build_gce,
    "azure": cloud.build_azure,
    "oci": oci.build_oci,
    "pico": pico.build_pico,
}
# Files that a format wants in its root file system besides those of the packages: (image, identity, title) → files.
ROOT_FILES: Mapping[str, Callable[[Image, str, str], Sequence[RootfsFile]]] = {
    **dict.fromkeys(FORMATS, disk.root_files),
    "iso": iso.root_files,
    "oci": oci.root_files,
    "pico": oci.root_files,
}

__all__ = ["FORMATS", "ROOT_FILES", "ImageRequest", "ImageResult", "InstallerSets"]
