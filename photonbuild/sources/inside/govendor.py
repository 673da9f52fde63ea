"""Vendor a Go module and write it as one normalised tar (standard library only; runs in the seed).

    python3 govendor.py MODULE_FOLDER PREFIX OUTPUT.tar

MODULE_FOLDER holds go.mod and go.sum, and the module's own .go files if it has any. It is copied to a fresh folder,
`go mod vendor` fills its vendor/, and go.mod, go.sum and that folder are written to OUTPUT.tar, uncompressed, below
PREFIX/. The bytes depend only on those two files and on which packages are imported: go.sum fixes the content of every
module, entries are sorted by the bytes of their names, and owners, modes and times are constants. `go mod vendor` must
leave go.mod and go.sum as they are, or nothing is written.

`go` is taken from PATH and reads no configuration of the host: its own configuration file is switched off, it may
not fetch another toolchain, and of the environment it sees only what PASSED names. Unless the caller sets GOMODCACHE,
modules are downloaded to a temporary folder (below TMPDIR) that is removed again.

Exit status: 0 done, 1 the go tool failed or the module is not tidy, 2 wrong usage.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

MTIME = 1767225600
PASSED = (
    "PATH",
    "GOPROXY", "GONOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GOINSECURE", "GOFLAGS", "GOMODCACHE",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip


class VendorError(Exception):
    """The module cannot be vendored; the text says why."""


def go_environment(outer: dict[str, str], scratch: Path) -> dict[str, str]:
    """The complete environment of the go tool; everything it writes goes below scratch."""
    env = {name: outer[name] for name in PASSED if name in outer}
    env.setdefault("GOMODCACHE", str(scratch / "modcache"))
    # -modcacherw: without it an ordinary user could not remove the scratch folder.
    env["GOFLAGS"] = f"{env.get('GOFLAGS', '')} -modcacherw".strip()
    return env | {
        "GOENV": "off",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GO111MODULE": "on",
        "GOPATH": str(scratch / "gopath"),
        "GOCACHE": str(scratch / "gocache"),
        "HOME": str(scratch),
        "LC_ALL": "C.UTF-8",
    }


def vendor(module: Path, work: Path, env: dict[str, str]) -> None:
    """Copy module to work (a new folder), vendor there, and leave in it only go.mod, go.sum and vendor/."""
    names = ("go.mod", "go.sum")
    shutil.copytree(module, work)
    done = subprocess.run(["go", "mod", "vendor"], cwd=work, env=env, check=False)
    if done.returncode != 0:
        raise VendorError(f"go mod vendor failed with exit status {done.returncode}")
    for name in names:
        if (work / name).read_bytes() != (module / name).read_bytes():
            raise VendorError(f"go mod vendor wants to change {name}: commit the changed file first")
    if not (work / "vendor" / "modules.txt").is_file():
        raise VendorError("go mod vendor made no vendor/modules.txt: does go.mod name a tool or a package?")
    for path in work.iterdir():
        if path.name in (*names, "vendor"):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def entries(work: Path) -> Iterator[Path]:
    """Every file, link and folder below work, sorted by the bytes of its name; links are not followed."""
    found: list[Path] = []
    for folder, folders, files in os.walk(work):
        found += [Path(folder, name) for name in (*folders, *files)]
    yield from sorted(found, key=os.fsencode)


def normalise(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Owners, modes and times that depend on nothing but the kind of entry and the owner's execute bit."""
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime = MTIME
    if info.issym():
        info.mode = 0o777
    elif info.isdir() or info.mode & 0o100:
        info.mode = 0o755
    else:
        info.mode = 0o644
    return info


def write_tar(work: Path, prefix: str, output: Path) -> None:
    """Write work as the folder prefix of a GNU tar; output appears whole or not at all."""
    partial = output.with_name(output.name + ".part")
    try:
        with tarfile.open(partial, "w", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape") as tar:
            tar.add(work, arcname=prefix, recursive=False, filter=normalise)
            for path in entries(work):
                name = f"{prefix}/{path.relative_to(work).as_posix()}"
                info = normalise(tar.gettarinfo(path, arcname=name))
                if info.islnk():
                    raise VendorError(f"{name} is a hard link")
                if info.isreg():
                    with path.open("rb") as content:
                        tar.addfile(info, content)
                else:
                    tar.addfile(info)
        partial.rename(output)
    finally:
        partial.unlink(missing_ok=True)


def main(argv: list[str]) -> int:
    if len(argv) != 4 or "/" in argv[2] or not (Path(argv[1]) / "go.mod").is_file():
        print("usage: govendor.py MODULE_FOLDER PREFIX OUTPUT.tar", file=sys.stderr)
        return 2
    module, prefix, output = Path(argv[1]).resolve(), argv[2], Path(argv[3]).absolute()
    with tempfile.TemporaryDirectory(prefix="govendor-") as scratch:
        work = Path(scratch) / "work"
        try:
            vendor(module, work, go_environment(dict(os.environ), Path(scratch)))
            write_tar(work, prefix, output)
        except (VendorError, OSError) as error:
            print(f"govendor: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
