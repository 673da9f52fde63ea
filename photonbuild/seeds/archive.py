"""A frozen seed as one file, for machines that have not made it: the same bytes wherever it is packed."""

from __future__ import annotations

from pathlib import Path

from photonbuild.files import read_sealed, sealed, sha256_of, write_json
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.seeds.frozen import FrozenSeed
from photonbuild.seeds.install import run_inside
from photonbuild.store import Store

COMPRESS = '"$@" | zstd -q -3 -T2 -o /out/archive'


def tar_argv(root: Path, epoch: int, *, to: Path) -> list[str]:
    """The command of tar(1) that writes the tree of a seed: the same names, order and headers whoever packs.

    Owners as in a sandbox, no time later than the packages' own (`epoch`): those of folders that lost files.
    """
    pax = "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime"
    words = ["--sort=name", "--numeric-owner", "--format=posix", pax, "--clamp-mtime", f"--mtime=@{epoch}"]
    return ["tar", f"--directory={root}", *words, "--create", f"--file={to}", "."]


def archive(store: Store, seed: FrozenSeed, tools: FrozenSeed, *, epoch: int) -> tuple[Path, str, int]:
    """(file, SHA-256, size) of a tar of the seed, compressed by zstd. `tools`: the seed whose programs pack it."""
    final = seed.root.with_name(f"{seed.root.name}.tar.zst")
    record = final.with_name(f"{final.name}.json")
    with store.lock(f"archive-{seed.digest[:32]}"):
        known = read_sealed(record)
        if known is None or not final.exists() or final.stat().st_size != known["size"]:
            store.need_room()
            with store.staging() as work:
                (work / "out").mkdir()
                binds = [Bind(seed.root, "/seed"), Bind(work / "out", "/out", readonly=False)]
                box = Sandbox(layers=[tools.root], scratch=store.scratch, binds=binds)
                tar = tar_argv(Path("/seed"), epoch, to=Path("-"))
                run_inside(store, box, ["bash", "-euo", "pipefail", "-c", COMPRESS, "pack", *tar])
                packed = work / "out" / "archive"
                known = {"sha256": sha256_of(packed), "size": packed.stat().st_size}
                final.unlink(missing_ok=True)
                store.publish(packed, final)
                write_json(record, sealed(known), durable=True)
    return final, str(known["sha256"]), int(known["size"])
