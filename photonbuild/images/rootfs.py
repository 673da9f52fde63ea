"""Root file system: install set → tree (rpm and its scriptlets in the sandbox) → PAX tar and manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from photonbuild import code
from photonbuild.errors import ImageError
from photonbuild.images.installset import InstallSet
from photonbuild.images.workspace import Workspace
from photonbuild.packages.room import available_memory
from photonbuild.run import Completed
from photonbuild.sandbox.sandbox import Bind

PROGRAM = code.program("photonbuild.images.inside.rootfs")
SYSUSERS = code.program("photonbuild.images.inside.sysusers")
CUSTOMISE = code.program("photonbuild.images.inside.customise")
HELPERS = "/usr/lib/photonbuild"  # where they are inside
ROOT_TAR = "root.tar"
TARGET = "/target"  # as the programs inside name it


@dataclass(frozen=True, kw_only=True)
class RootfsFile:
    """A text file to write into the root, with its mode; directories that are missing are made."""

    path: str
    text: str
    mode: int = 0o644


@dataclass(frozen=True, kw_only=True)
class UnitSetting:
    """A unit that is to be enabled, disabled or masked; `where` is the file and line that asks for it."""

    unit: str
    state: str
    where: str


@dataclass(frozen=True, kw_only=True)
class RootfsSettings:
    """What a root file system is besides its packages. `authorized_keys`: lines of sshd's file of that name.

    `exclude_paths` are glob patterns of files to leave out. Without `unit_presets` no unit is enabled; `units` come
    after the presets and the files. `customise`: what inside/customise.py is asked for, if anything; contents are
    in the folder of the workspace.
    """

    hostname: str = "localhost"
    authorized_keys: Sequence[str] = ()
    default_target: str = "multi-user.target"
    exclude_docs: bool = False
    exclude_paths: Sequence[str] = ()
    unit_presets: bool = True
    files: Sequence[RootfsFile] = ()
    units: Sequence[UnitSetting] = ()
    customise: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class RootfsResult:
    """A packed root: the tar, paths of its kernels inside it, seconds per step; `changed`: files of its own."""

    tar: Path
    kernels: Sequence[str]
    changed: Sequence[str] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)


def build_rootfs(workspace: Workspace, chosen: InstallSet, *, settings: RootfsSettings) -> RootfsResult:
    """Install exactly the packages of the set and pack the root.

    The tar is left in the folder of the workspace. The same packages and settings give the same bytes. Raises
    ImageError naming the package whose scriptlet failed or printed something.
    """
    request = rootfs_request(chosen, settings=settings, epoch=workspace.epoch, tar=f"/work/{ROOT_TAR}")
    result = run_helper(workspace, chosen, request=request)
    return RootfsResult(
        tar=workspace.folder / ROOT_TAR,
        kernels=tuple(result["kernels"]),
        changed=tuple(result["changed"]),
        seconds=result["seconds"],
    )


def rootfs_request(
    chosen: InstallSet,
    *,
    settings: RootfsSettings,
    epoch: int,
    tar: str | None,
    commands: Sequence[Sequence[str]] = (),
    failure_mark: str | None = None,
    outputs: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The request for inside/rootfs.py: pure. `commands` run (chroot) in the finished root before packing.

    A line of theirs with `failure_mark` is a failure. `outputs` are files of the root to copy out, each to a path of
    the sandbox; without `tar` that is all.
    """
    files = [RootfsFile(path="/etc/hostname", text=f"{settings.hostname}\n")]
    if settings.authorized_keys:
        keys = "".join(f"{line.strip()}\n" for line in settings.authorized_keys)
        files.append(RootfsFile(path="/root/.ssh/authorized_keys", text=keys, mode=0o600))
    files.extend(settings.files)
    return {
        "rpms": [f"/rpms/{path.name}" for path in sorted(chosen.rpms, key=lambda path: path.name)],
        "first": sorted(chosen.first),
        "epoch": epoch,
        "macros": {"__systemd_sysusers": f"/usr/bin/python3 -I {HELPERS}/sysusers.py"},
        "exclude_docs": settings.exclude_docs,
        "exclude_paths": list(settings.exclude_paths),
        "default_target": settings.default_target if settings.unit_presets else None,
        "files": [{"path": file.path, "mode": file.mode, "text": file.text} for file in files],
        "units": [asdict(unit) for unit in settings.units],
        "customise": settings.customise,
        "commands": [list(argv) for argv in commands],
        "failure_mark": failure_mark,
        "outputs": dict(outputs or {}),
        "tar": tar,
    }


def run_helper(workspace: Workspace, chosen: InstallSet, *, request: Mapping[str, Any]) -> dict[str, Any]:
    """Run inside/rootfs.py in a fresh sandbox; its result. Raises ImageError."""
    (workspace.folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
    result = workspace.folder / "result.json"
    result.unlink(missing_ok=True)
    sandbox = workspace.sandbox(
        binds=(
            *target_on_disk(workspace, chosen),
            Bind(source=PROGRAM, target=f"{HELPERS}/rootfs.py"),
            Bind(source=SYSUSERS, target=f"{HELPERS}/sysusers.py"),
            Bind(source=CUSTOMISE, target=f"{HELPERS}/customise.py"),
            *package_binds(chosen.rpms),
            *workspace.macro_binds,
        ),
        hostname="localhost",
        target=TARGET,
    )
    argv = ["python3", "-I", f"{HELPERS}/rootfs.py", "/work/request.json", "/work/result.json"]
    done = sandbox.run(argv, log=workspace.log, check=False, error=ImageError)
    return read_result(result, done, workspace.log)


def target_on_disk(workspace: Workspace, chosen: InstallSet) -> list[Bind]:
    """A folder for the root, for packages that would take more than a quarter of the free memory; else nothing."""
    if sum(package.installed_size for package in chosen.packages) < available_memory() // 4:
        return []
    folder = workspace.folder / "target"
    folder.mkdir(mode=0o755)
    return [Bind(source=folder, target=TARGET, readonly=False, links=True)]


def read_result(path: Path, done: Completed, log: Path) -> dict[str, Any]:
    """The helper's result, or the ImageError that it describes; without a result the helper itself died."""
    try:
        answer: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        raise ImageError(
            f"the root file system helper died with exit code {done.returncode}",
            detail=text[-4000:],
            hint=f"see {log}",
        ) from None
    if "error" in answer:
        raise ImageError(answer["error"], where=answer["where"], detail=answer["detail"], hint=f"see {log}")
    return answer


def package_binds(rpms: Sequence[Path]) -> list[Bind]:
    """Every package file at /rpms/NAME, where nothing can change it. Raises ImageError when two have one name."""
    binds: dict[str, Bind] = {}
    for path in rpms:
        if path.name in binds:
            raise ImageError(f"two packages of the install set have the file name {path.name}", where=str(path))
        binds[path.name] = Bind(source=path, target=f"/rpms/{path.name}")
    return list(binds.values())
