"""Vendor the crates that a Cargo.lock names, as a folder (standard library only; runs in the seed).

    python3 cargovendor.py CRATE_FOLDER OUTPUT_FOLDER < CONFIG.toml

CRATE_FOLDER holds Cargo.toml and Cargo.lock. OUTPUT_FOLDER, which must not exist, gets both, an empty library as the
crate itself, vendor/NAME-VERSION/ for each crate of the lock, and a .cargo/config.toml that has cargo take them from
there. What is in it depends only on these two files: the lock fixes the content of every crate by its SHA-256, and it
must be complete. A crate that is not used on this platform with the features of Cargo.toml is left as its manifest
alone, which cargo needs for the lock to stay true; its sources would be three quarters of all.

Only crates of cargo's own default registry are taken, from where CONFIG says that they are to be had, with the tables
source, registry, registries, http and net of https://doc.rust-lang.org/cargo/reference/config.html. `cargo` and `rustc`
are taken from PATH; cargo writes to a temporary folder (below TMPDIR) that is removed again.

Exit status: 0 done, 1 cargo failed or the lock does not do, 2 wrong usage.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

NAMES = ("Cargo.toml", "Cargo.lock")
LIBRARY = "src/lib.rs"
CHECKSUMS = ".cargo-checksum.json"
OFFLINE = """\
[source.crates-io]
replace-with = "vendored"

[source.vendored]
directory = "vendor"
"""


class VendorError(Exception):
    """The crates cannot be vendored; the text says why."""


def cargo(work: Path, env: dict[str, str], *words: str) -> str:
    """Standard output of a cargo command in the folder."""
    done = subprocess.run(["cargo", *words], cwd=work, env=env, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise VendorError(f"cargo {words[0]} failed with exit status {done.returncode}")
    return done.stdout


def check_lock(path: Path) -> None:
    """Every crate but the folder's own must come from one registry and carry its digest."""
    packages = tomllib.loads(path.read_text(encoding="utf-8")).get("package", [])
    fetched = [package for package in packages if "source" in package]
    for package in packages:
        if "source" in package and "checksum" not in package:
            raise VendorError(f"{package['name']} {package['version']} comes from no registry: {package['source']}")
    if len({package["source"] for package in fetched}) > 1:
        raise VendorError("the crates come from more than one registry")
    if len(packages) - len(fetched) != 1:
        raise VendorError("the lock is not that of one crate alone: path dependencies and workspaces are not vendored")


def used(work: Path, env: dict[str, str]) -> set[tuple[str, str]]:
    """(name, version) of the crates that a build on this platform uses."""
    lines = subprocess.run(["rustc", "-vV"], env=env, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    (host,) = (line.removeprefix("host: ") for line in lines if line.startswith("host: "))
    words = ("metadata", "--format-version=1", "--locked", "--offline", f"--filter-platform={host}")
    metadata: dict[str, Any] = json.loads(cargo(work, env, *words))
    nodes = {node["id"] for node in metadata["resolve"]["nodes"]}
    return {(package["name"], package["version"]) for package in metadata["packages"] if package["id"] in nodes}


def strip(crate: Path, manifest: dict[str, Any]) -> None:
    """Leave of a vendored crate its manifest, and empty files for what cargo looks for beside it."""
    package = json.loads((crate / CHECKSUMS).read_text(encoding="utf-8"))["package"]
    text = (crate / "Cargo.toml").read_bytes()
    shutil.rmtree(crate)
    targets = [table.get("path") for kind in ("bin", "example", "test", "bench") for table in manifest.get(kind, [])]
    for name in ("Cargo.toml", manifest.get("lib", {}).get("path", LIBRARY), *filter(None, targets)):
        path = (crate / name).resolve()
        if not path.is_relative_to(crate.resolve()):
            raise VendorError(f"{crate.name} has a target outside its folder: {name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (crate / "Cargo.toml").write_bytes(text)
    (crate / CHECKSUMS).write_text(json.dumps({"files": {}, "package": package}, separators=(",", ":")))


def vendor(crate: Path, work: Path, env: dict[str, str]) -> None:
    """Make the folder `work` from the two files in `crate`."""
    (work / LIBRARY).parent.mkdir(parents=True)
    (work / LIBRARY).touch()
    for name in NAMES:
        shutil.copyfile(crate / name, work / name)
    check_lock(work / "Cargo.lock")
    cargo(work, env, "vendor", "--locked", "--versioned-dirs", "--respect-source-config", "vendor")
    wanted = used(work, env)
    for folder in sorted((work / "vendor").iterdir()):
        manifest = tomllib.loads((folder / "Cargo.toml").read_text(encoding="utf-8"))
        if (manifest["package"]["name"], manifest["package"]["version"]) not in wanted:
            strip(folder, manifest)
    (work / ".cargo").mkdir()
    (work / ".cargo" / "config.toml").write_text(OFFLINE)
    # What was left out must not be missed: nothing but this folder is asked, and no download remembered.
    shutil.rmtree(env["CARGO_HOME"])
    if used(work, env) != wanted:
        raise VendorError("the vendored crates are not those of the lock")
    for name in NAMES:
        if (work / name).read_bytes() != (crate / name).read_bytes():
            raise VendorError(f"cargo wants to change {name}: commit the changed file first")


def readable(work: Path) -> None:
    """Let everybody read: who packs the folder is another user, and crates hold whatever modes they were given."""
    for place, _, names in os.walk(work):
        os.chmod(place, 0o755)
        for name in names:
            path = Path(place, name)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | 0o444)


def main(argv: list[str]) -> int:
    if len(argv) != 3 or Path(argv[2]).exists() or not all(Path(argv[1], name).is_file() for name in NAMES):
        print("usage: cargovendor.py CRATE_FOLDER OUTPUT_FOLDER < CONFIG.toml", file=sys.stderr)
        return 2
    crate, work = Path(argv[1]).resolve(), Path(argv[2]).absolute()
    with tempfile.TemporaryDirectory(prefix="cargovendor-") as scratch:
        home = Path(scratch, "cargo")
        home.mkdir()
        (home / "config.toml").write_text(sys.stdin.read(), encoding="utf-8")
        try:
            vendor(crate, work, {**os.environ, "CARGO_HOME": str(home), "LC_ALL": "C.UTF-8"})
            readable(work)
        except (VendorError, OSError, ValueError) as error:
            print(f"cargovendor: {error}", file=sys.stderr)
            shutil.rmtree(work, ignore_errors=True)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
