"""Netboot: the live system, and its installer, without a medium: an iPXE script, and what it makes a machine fetch.

``.ipxe`` is the script, ``.vmlinuz`` and ``.initrd`` are what iPXE fetches, ``.erofs`` is the root and
``.installer.erofs`` the installer's layer and packages, which the initramfs fetches, checked by the digests that the
script has. All are served from one folder; the script finds the others beside itself. https://ipxe.org/cmd
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from photonbuild.files import sha256_of
from photonbuild.images.disk import timed
from photonbuild.images.format import Format
from photonbuild.images.installer import add_installer
from photonbuild.images.live import (
    Choice,
    LiveImage,
    choices,
    erofs_argv,
    extract_kernel,
    install_sets,
    make_initramfs,
    root_files,
)
from photonbuild.images.publish import ImageResult, publish
from photonbuild.images.request import ImageRequest, tools

MODULES = ("dracut/90live", "dracut/90netroot")
SUFFIX, KERNEL, INITRD, ROOT, INSTALLER = ".ipxe", ".vmlinuz", ".initrd", ".erofs", ".installer.erofs"


class NetbootImage(LiveImage):
    """``format: netboot``: the live image for machines that start from the network by iPXE."""

    format: Literal["netboot"]


def build_netboot(request: ImageRequest) -> ImageResult:
    """Make and publish the script and all that it names. Raises ImageError."""
    image = request.image
    assert isinstance(image, NetbootImage)
    seconds: dict[str, float] = {}
    started = time.monotonic()
    files = {suffix: request.folder / f"image{suffix}" for suffix in (KERNEL, INITRD, ROOT, INSTALLER)}
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(make_initramfs, request, MODULES)
        extract_kernel(request.rootfs.tar, request.rootfs.kernels, files[KERNEL])
        tools(request, erofs_argv(request, f"/work/image{ROOT}"))
        started = timed(seconds, "erofs", started)
        os.replace(pending.result(), files[INITRD])
    started = timed(seconds, "initramfs", started)
    if image.installer:
        (request.folder / "medium/live").mkdir(parents=True)
        add_installer(request, image.installer, request.folder / "medium")
        tools(request, medium_argv(request, f"/work/image{INSTALLER}"))
        timed(seconds, "installer", started)
    else:
        del files[INSTALLER]
    digests = {suffix: sha256_of(path) for suffix, path in files.items()}
    script = request.folder / f"image{SUFFIX}"
    script.write_text(ipxe(request, image, digests), encoding="utf-8")
    facts = {suffix.removeprefix("."): digest for suffix, digest in digests.items()}
    return publish(request, script, facts=facts, seconds=seconds, extras=list(files.values()), listed=True)


def medium_argv(request: ImageRequest, target: str) -> list[str]:
    """mkfs.erofs(1) of the folder that a medium would have; what is in it is compressed already."""
    name = uuid.uuid5(uuid.NAMESPACE_OID, request.identity)
    epoch = request.workspace.epoch
    return ["mkfs.erofs", "--quiet", f"-T{epoch}", f"-U{name}", "--all-root", target, "/work/medium"]


def ipxe(request: ImageRequest, image: NetbootImage, digests: Mapping[str, str]) -> str:
    """The script. `base`, `entry`, `ks` and `args` may be set by the one that chains it. Pure."""
    distribution = request.distribution
    title = f"{distribution.name} {distribution.version}"
    names = {suffix: f"{distribution.prefix}{image.variant}{suffix}" for suffix in digests}
    found = choices(image, title)
    items = "".join(f"item {choice.name} {choice.title}\n" for choice in found)
    entries = "".join(_entry(choice, names, digests, image.kernel_args) for choice in found)
    unattended = "isset ${ks} && set ks ks=${ks} || clear ks\n"
    if image.installer:
        unattended = "isset ${ks} && set entry install ||\n" + unattended
    return (
        "#!ipxe\n"
        f"# {title}. All files of this name are served from one folder; see docs/use/netboot.md.\n"
        "# May be set before this is chained: base, where the files are; entry, one of those below; ks, the URL of a\n"
        "# kickstart to install by; args, more arguments of the kernel.\n"
        "isset ${base} || set base ${cwduri}\n"
        f"{unattended}"
        "isset ${entry} && goto ${entry} ||\n"
        f"menu {title}\n{items}"
        f"choose --default {found[0].name} --timeout {image.menu_timeout * 1000} entry && goto ${{entry}} || exit 1\n"
        f"{entries}"
        ":failed\n"
        "echo What ${base} should have cannot be fetched or started.\n"
        "exit 1\n"
    )


def _entry(choice: Choice, names: Mapping[str, str], digests: Mapping[str, str], arguments: Sequence[str]) -> str:
    words = [f"initrd={names[INITRD]}", f"root=live:${{base}}{names[ROOT]}", f"live.sha256={digests[ROOT]}"]
    if choice.name == "install":
        words += [f"live.medium=${{base}}{names[INSTALLER]}", f"live.medium.sha256={digests[INSTALLER]}", "${ks}"]
    words += [*arguments, *choice.arguments, "${args}"]
    return (
        f":{choice.name}\n"
        f"kernel ${{base}}{names[KERNEL]} {' '.join(words)} || goto failed\n"
        f"initrd ${{base}}{names[INITRD]} || goto failed\n"
        "boot || goto failed\n"
    )


FORMAT = Format(
    name="netboot",
    model=NetbootImage,
    suffix=SUFFIX,
    extras=(KERNEL, INITRD, ROOT, INSTALLER),
    build=build_netboot,
    sets=install_sets,
    root_files=root_files,
    data=("dracut", "installer"),
    network=True,
)
