"""Initramfs of a live system: dracut, run in a throw-away root, with modules of build/dracut alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from photonbuild.errors import ImageError
from photonbuild.images.installset import InstallSet
from photonbuild.images.rootfs import RootfsFile, RootfsSettings, rootfs_request, run_helper
from photonbuild.images.workspace import Workspace

MODULES = "/usr/lib/dracut/modules.d"
OUTPUT = "/initramfs.img"


def build_initramfs(
    workspace: Workspace, chosen: InstallSet, *, modules: Sequence[Path], dracut_args: Sequence[str] = ()
) -> Path:
    """Install the set (dracut among it) into an empty root and run dracut there for these modules and no other.

    They are folders named as dracut names them, e.g. ``90live``. Nothing of that root is shipped but what
    dracut copies. The compressed initramfs is left in the folder of the workspace. Raises ImageError.
    """
    files = [file for module in modules for file in module_files(module)]
    settings = RootfsSettings(exclude_docs=True, files=files, unit_presets=False)
    request = rootfs_request(
        chosen,
        settings=settings,
        epoch=workspace.epoch,
        tar=None,
        commands=[dracut_argv([module.name.lstrip("0123456789") for module in modules], dracut_args)],
        failure_mark="dracut[E]",  # dracut leaves out what it cannot install, says so, and exits with 0
        outputs={OUTPUT: "/work/initramfs.img"},
    )
    run_helper(workspace, chosen, request=request)
    return workspace.folder / "initramfs.img"


def dracut_argv(modules: Sequence[str], extra: Sequence[str]) -> list[str]:
    """dracut(8) for exactly these modules, without the kernel's, without anything of the machine that builds."""
    return [
        "/usr/bin/dracut", "--force", "--reproducible", "--no-kernel", "--no-hostonly",
        "--no-hostonly-cmdline", "--no-early-microcode",
        "--nofscks", "--modules", " ".join(modules), "--compress", "zstd -19 -q -T1", *extra, OUTPUT,
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
