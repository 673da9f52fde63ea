"""The disk as a streamOptimized VMDK, with a content ID that follows from the content.

Virtual Disk Format 5.0 (VMware): the descriptor lies in the file, behind the sparse extent's header.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

from photonbuild.disk.gpt import SECTOR
from photonbuild.errors import ImageError
from photonbuild.images.request import ImageRequest, tools

NAME = "disk.vmdk"
MAGIC = b"KDMV"


def stream_optimized(request: ImageRequest) -> Path:
    """Convert the work folder's ``disk.raw``. Raises ImageError."""
    options = "subformat=streamOptimized,adapter_type=lsilogic,hwversion=14"
    argv = ["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", options, "/work/disk.raw", f"/work/{NAME}"]
    tools(request, argv, seed=request.machine_seed)
    path = request.folder / NAME
    set_content_id(path, request.identity)
    return path


def set_content_id(path: Path, identity: str) -> None:
    """Write `identity`'s first digits over the random content ID. Raises ImageError for a file that is no VMDK."""
    with path.open("r+b") as handle:
        offset, size = descriptor_place(handle.read(SECTOR), path)
        handle.seek(offset)
        text = handle.read(size)
        # qemu-img writes its random number without leading zeros; the NULs behind the text give way for them.
        fixed, count = re.subn(rb"(?m)^CID=[0-9a-f]{1,8}$", b"CID=" + identity[:8].encode(), text.rstrip(b"\0"))
        if count != 1:
            raise ImageError("no content ID in the descriptor of the VMDK", where=path.name)
        if len(fixed) > size:
            raise ImageError("no room for the content ID in the descriptor of the VMDK", where=path.name)
        handle.seek(offset)
        handle.write(fixed.ljust(size, b"\0"))


def descriptor_place(header: bytes, path: Path) -> tuple[int, int]:
    """Offset and length in bytes of the descriptor, from the sparse extent's header."""
    magic, _version, _flags, _capacity, _grain, offset, size = struct.unpack_from("<4sIIQQQQ", header)
    if magic != MAGIC:
        raise ImageError("not a VMDK with a sparse extent", where=path.name)
    return offset * SECTOR, size * SECTOR
