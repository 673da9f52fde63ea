"""The commands about the repository that is published. No logic here."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import click

from photonbuild import gc
from photonbuild.cli.options import PROFILE_NAMES, SPEC_NAMES, answer, command
from photonbuild.errors import ConfigError
from photonbuild.pipeline import build as pipeline
from photonbuild.pipeline import repository
from photonbuild.pipeline.session import Session
from photonbuild.publication.gc import Retention
from photonbuild.publication.layout import check_snapshot

packages_argument = click.argument("packages", nargs=-1, shell_complete=SPEC_NAMES)
profile_option = click.option(
    "--profile", shell_complete=PROFILE_NAMES, help="The packages of a profile instead of all."
)
key_option = click.option("--key", help="Name of a key of yours, a file, or agent:FINGERPRINT.")
snapshot_option = click.option("--snapshot", metavar="NAME", help="The snapshot of this name, such as 2026-11-20.")


@click.group("repo")
def repo_group() -> None:
    """The repository: made, signed, published, and looked after where it is published."""


def _retention(where: str, keep: int | None, older_than: str | None) -> Retention | None:
    if keep is None and older_than is None:
        return None
    try:
        return Retention(keep=keep, age=None if older_than is None else gc.seconds_of(older_than))
    except ValueError as wrong:
        raise ConfigError(str(wrong), where=f"photonbuild {where}") from None


@repo_group.command("build")
@packages_argument
@profile_option
@command
def repo_build(session: Session, packages: tuple[str, ...], profile: str | None) -> None:
    """Build packages (all, unless some are named) and the unsigned repository stage/repo of them."""
    _, folder = repository.build_repository(session, pipeline.chosen_specs(session, packages, profile))
    answer({"folder": str(folder)}, folder)


@repo_group.command("sign")
@packages_argument
@profile_option
@key_option
@click.option("--passphrase-file", type=click.Path(dir_okay=False, path_type=Path), help="Holds the key's passphrase.")
@click.option("--over", metavar="TARGET", help="List older packages, too, of what is published there.")
@click.option("--keep", type=click.IntRange(min=1), help="With --over: the newest N versions of each package; 3.")
@click.option("--older-than", metavar="TIME", help="With --over: all that were the newest within this time: 90d, 12h.")
@click.option("--revision", type=click.IntRange(min=0), help="The time of the metadata, in seconds since 1970.")
@command
def repo_sign(
    session: Session,
    packages: tuple[str, ...],
    profile: str | None,
    key: str | None,
    passphrase_file: Path | None,
    over: str | None,
    keep: int | None,
    older_than: str | None,
    revision: int | None,
) -> None:
    """Build as `repo build` does, then make stage/publication: signed copies, signed metadata.

    The checksum files in stage/images are signed as well.
    """
    retention = _retention("repo sign", keep, older_than) or repository.NEWEST
    if over is None and (keep or older_than):
        raise ConfigError("--keep and --older-than say what stays listed of what is published", hint="--over TARGET")
    chosen = repository.signing_key(session, key, passphrase_file)
    done, _ = repository.build_repository(session, pipeline.chosen_specs(session, packages, profile))
    tree = repository.sign_repository(session, done, chosen, revision=revision, over=over, retention=retention)
    signed = repository.sign_checksums(session, chosen)
    count = sum(len(files) for files in tree.content.values())
    session.reporter.info(f"{count} packages, signed by {tree.fingerprint}")
    data = {
        "folder": str(tree.folder),
        "packages": count,
        "fingerprint": tree.fingerprint,
        "checksums": [str(path) for path in signed],
    }
    answer(data, *(os.path.relpath(path) for path in signed), tree.folder)


@repo_group.command("publish")
@click.argument("target")
@snapshot_option
@click.option("--development", is_flag=True, help="Also what the development key has signed.")
@command
def repo_publish(session: Session, target: str, snapshot: str | None, development: bool) -> None:
    """Bring stage/publication to TARGET: a folder, ssh://HOST/FOLDER, s3://BUCKET/PREFIX, a name of your settings."""
    name = check_snapshot(snapshot) if snapshot is not None else None
    done = repository.publish_tree(session, target, snapshot=name, development=development)
    answer(dataclasses.asdict(done))
    changed = ", ".join(done.changed) or "nothing"
    session.reporter.info(f"{done.sent} files sent, {done.there} were there; new for clients: {changed}")
    if done.unlisted:
        session.reporter.warn(
            f"{done.unlisted} older packages are not listed any more, so nobody can go back to them; "
            f"photonbuild repo sign --over {target} lists them"
        )


@repo_group.command("verify")
@click.argument("target")
@key_option
@snapshot_option
@command
def repo_verify(session: Session, target: str, key: str | None, snapshot: str | None) -> None:
    """Re-read all that is published at TARGET, or at an address of http: digests, signatures, every listed file."""
    name = check_snapshot(snapshot) if snapshot is not None else None
    chosen = repository.checking_key(session, key)
    found = repository.verify_publication(session, target, chosen, snapshot=name)
    answer(
        dataclasses.asdict(found) | {"fingerprint": chosen.fingerprint},
        f"{found.packages} packages, {found.files} files, {found.bytes / 1e6:.0f} MB, {found.advisories} advisories: "
        f"in order, signed by {chosen.fingerprint}",
    )


@repo_group.command("diff")
@click.argument("old")
@click.argument("new")
@click.option("--old-snapshot", metavar="NAME", help="The snapshot of this name at OLD.")
@click.option("--new-snapshot", metavar="NAME", help="The snapshot of this name at NEW.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@command
def repo_diff(
    session: Session, old: str, new: str, old_snapshot: str | None, new_snapshot: str | None, form: str
) -> None:
    """Show what changes from the publication at OLD to the one at NEW: packages, versions, advisories."""
    sides = [repository.Place(target=old, snapshot=old_snapshot), repository.Place(target=new, snapshot=new_snapshot)]
    found = repository.compare_publications(session, *sides)
    data = {kind: item.data() for kind, item in found.items()}
    lines = []
    for kind, item in found.items():
        lines.append(f"{kind}: {'no difference' if not item else ''}".rstrip())
        lines += [f"  {line}" for line in item.lines()]
    answer(data, *lines, as_json=form == "json")


@repo_group.command("gc")
@click.argument("target")
@click.option("--keep", type=click.IntRange(min=1), help="The newest N states and snapshots stay.")
@click.option("--older-than", metavar="TIME", help="Only what is that old goes: 90d, 12h.")
@click.option("--dry-run", is_flag=True, help="Remove nothing, say what would go.")
@command
def repo_gc(session: Session, target: str, keep: int | None, older_than: str | None, dry_run: bool) -> None:
    """Remove old snapshots, and the metadata and packages that no client asks for any more.

    With both options stays what either keeps. What clients read now always stays.
    """
    retention = _retention("repo gc", keep, older_than)
    if retention is None:
        raise ConfigError("nothing says what may go", hint="--keep 10, --older-than 90d, or both")
    found = repository.collect_garbage(session, target, retention, dry_run=dry_run)
    answer(dataclasses.asdict(found), *found.files)
    said = "would go" if dry_run else "gone"
    names = f", snapshots {', '.join(found.snapshots)}" if found.snapshots else ""
    text = f"{len(found.files)} files, {found.bytes / 1e6:.1f} MB {said}: {found.states} superseded states{names}"
    session.reporter.info(text)
