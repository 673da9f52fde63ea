"""The installer's part of a live image: a squashfs layer over its root, and a repository of packages on the medium.

The layer has what the installer runs with and the live root lacks; only the installer's entry of the menu mounts it.
The repository has what an installed system may need besides what the live root is: tools of logical volumes and so on.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from photonbuild import installer
from photonbuild.config.models import IsoImage, IsoInstaller
from photonbuild.errors import ImageError
from photonbuild.images import rootfs
from photonbuild.images.initramfs import build_initramfs
from photonbuild.images.request import ImageRequest, InstallerSets
from photonbuild.packages import repo
from photonbuild.sandbox.sandbox import Bind, Sandbox

CODE = Path(installer.__file__).parents[1]
HOME = "usr/lib/installer"
UNITS = "usr/lib/systemd/system"
MODULE = "dracut/90lvm"
LAYER, PACKAGES = "live/installer.squashfs", "packages"
LIMIT = 25_000_000


def add(request: ImageRequest, tree: Path) -> None:
    """Put layer and repository into the ISO's tree. Raises ImageError, SolveError."""
    image, sets = request.image, request.installer
    assert isinstance(image, IsoImage) and image.installer and sets
    work = request.workdir / "installer"
    for name in ("files", "initramfs", "scratch"):
        (work / name).mkdir(parents=True)
    put_files(request, sets, work / "files")
    make_layer(request, image.installer, sets, work)
    size = (work / "layer.squashfs").stat().st_size
    if size > LIMIT:
        raise ImageError(
            f"the installer's layer has {size} bytes, and {LIMIT} are the most",
            hint="see installer.exclude_paths in build/images",
        )
    shutil.move(work / "layer.squashfs", tree / LAYER)
    repo.make_repository(sets.packages, tree / PACKAGES, revision=request.distribution.source_date_epoch)


def put_files(request: ImageRequest, sets: InstallerSets, files: Path) -> None:
    """What comes from no package: the program, its units, the initramfs for systems on logical volumes."""
    home, units = files / HOME, files / UNITS
    shipped = home / CODE.name
    shipped.mkdir(parents=True)
    for name in installer.SHIPPED:
        source = CODE / name
        if source.is_dir():
            shutil.copytree(source, shipped / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, shipped / name)
    units.mkdir(parents=True)
    for path in sorted((request.data / "installer").iterdir()):
        shutil.copyfile(path, units / path.name)
        for target in wanted_by(path.read_text(encoding="utf-8")):
            (units / f"{target}.wants").mkdir(exist_ok=True)
            (units / f"{target}.wants" / path.name).symlink_to(f"../{path.name}")
    made = build_initramfs(
        seed=request.seed,
        rpms=sets.initramfs,
        first=sets.first,
        module=request.data / MODULE,
        dracut_args=(),
        source_date_epoch=request.distribution.source_date_epoch,
        macros=request.macros,
        workdir=request.workdir / "installer/initramfs",
        log=request.log,
    )
    shutil.move(made.path, home / "initramfs-lvm.img")


def wanted_by(text: str) -> Sequence[str]:
    """Units that the [Install] section of a unit file names: in a layer nobody enables it."""
    lines = (line.partition("=") for line in text.splitlines())
    return [word for key, _, value in lines if key == "WantedBy" for word in value.split()]


def make_layer(request: ImageRequest, settings: IsoInstaller, sets: InstallerSets, work: Path) -> None:
    """WORK/layer.squashfs."""
    rpms = work / "rpms"
    rpms.mkdir()
    rootfs.gather(sets.layer, rpms)
    content = {
        "rpms": [f"/work/rpms/{path.name}" for path in sorted(sets.layer, key=lambda path: path.name)],
        "exclude_paths": list(settings.exclude_paths),
        "files": "/work/files",
        "compile": [HOME],
        "epoch": request.distribution.source_date_epoch,
        "output": "/work/layer.squashfs",
    }
    (work / "request.json").write_text(json.dumps(content), encoding="utf-8")
    sandbox = Sandbox(
        layers=(request.seed,),
        scratch=work / "scratch",
        binds=(
            Bind(source=rootfs.INSIDE, target=rootfs.HELPERS),
            Bind(source=work, target="/work", readonly=False),
            *(Bind(source=path, target=f"/etc/rpm/{path.name}") for path in request.macros),
        ),
        env={"SOURCE_DATE_EPOCH": str(request.distribution.source_date_epoch)},
    )
    argv = ["python3", "-I", f"{rootfs.HELPERS}/layer.py", "/work/request.json"]
    sandbox.run(argv, log=request.log, error=ImageError)
