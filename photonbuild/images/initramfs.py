"""Initramfs of the live medium: dracut, run in a throw-away root, with the one module in build/dracut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from photonbuild.errors import ImageError
from photonbuild.images.rootfs import Package, RootfsFile, RootfsSettings, rootfs_request, run_helper

MODULES = "/usr/lib/dracut/modules.d"
OUTPUT = "/initramfs.img"


@dataclass(frozen=True, kw_only=True)
class Initramfs:
    """A compressed initramfs, and the packages that it was put together from."""

    path: Path
    packages: Sequence[Package]


def build_initramfs(
    *,
    seed: Path,
    rpms: Sequence[Path],
    first: Sequence[str],
    module: Path,
    dracut_args: Sequence[str],
    source_date_epoch: int,
    macros: Sequence[Path],
    workdir: Path,
    log: Path,
) -> Initramfs:
    """Install `rpms` (dracut among them) into an empty root and run dracut there for the one module `module`.

    `module` is a folder named as dracut names them, e.g. ``90live``. Nothing of that root is shipped but what
    dracut copies. Raises ImageError.
    """
    settings = RootfsSettings(
        source_date_epoch=source_date_epoch, exclude_docs=True, files=module_files(module), unit_presets=False
    )
    request = rootfs_request(
        rpms=rpms,
        first=first,
        settings=settings,
        tar=None,
        commands=[dracut_argv(module.name.lstrip("0123456789"), dracut_args)],
        failure_mark="dracut[E]",  # dracut leaves out what it cannot install, says so, and exits with 0
        outputs={OUTPUT: "/work/initramfs.img"},
    )
    result = run_helper(seed=seed, rpms=rpms, request=request, macros=macros, workdir=workdir, log=log)
    packages = tuple(Package(**package) for package in result["packages"])
    return Initramfs(path=workdir / "initramfs.img", packages=packages)


def dracut_argv(module: str, extra: Sequence[str]) -> list[str]:
    """dracut(8) for exactly one module, no kernel modules, nothing of the machine that builds."""
    return [
        "/usr/bin/dracut", "--force", "--reproducible", "--no-kernel", "--no-hostonly",
        "--no-hostonly-cmdline", "--no-early-microcode",
        "--nofscks", "--modules", module, "--compress", "zstd -19 -q -T1", *extra, OUTPUT,
    ]  # fmt: skip


def module_files(module: Path) -> tuple[RootfsFile, ...]:
    """The files of a dracut module folder, as files of the root in which dracut runs."""
    paths = sorted(path for path in module.iterdir() if path.is_file()) if module.is_dir() else []
    if not paths:
        raise ImageError("no dracut module here", where=str(module))
    return tuple(
        RootfsFile(path=f"{MODULES}/{module.name}/{path.name}", text=path.read_text(encoding="utf-8"), mode=0o755)
        for path in paths
    )
