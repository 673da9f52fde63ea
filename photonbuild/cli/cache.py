"""The commands about shared caches. No logic here."""

from __future__ import annotations

import dataclasses

import click

from photonbuild import gc
from photonbuild.cache.signature import VARIABLE, key_folder, load_signer, new_key
from photonbuild.cli.options import IMAGE_NAMES, PROFILE_NAMES, SPEC_NAMES, answer, command, without_session
from photonbuild.config.load import load_user
from photonbuild.errors import ConfigError
from photonbuild.log import Reporter
from photonbuild.pipeline import build as pipeline
from photonbuild.pipeline import caches
from photonbuild.pipeline.session import Session

packages_argument = click.argument("packages", nargs=-1, shell_complete=SPEC_NAMES)
profile_option = click.option("--profile", shell_complete=PROFILE_NAMES, help="The packages of a profile.")
image_option = click.option(
    "--image", "images", multiple=True, shell_complete=IMAGE_NAMES, help="An image, with all that it is made of."
)


@click.group("cache")
def cache_group() -> None:
    """Shared caches: what other machines have made is not made again here."""


@cache_group.group("key")
def key_group() -> None:
    """The key that signs the entries of caches."""


@key_group.command("new")
@click.argument("name")
@without_session
def key_new(reporter: Reporter, name: str) -> None:
    """Make a key; its public part, for `trust`, is the answer. The private one stays in your configuration's folder."""
    public, path = new_key(name, key_folder())
    reporter.info(f"{path}: the private key; 'key' of your cache: names it, or {VARIABLE} holds it")
    answer({"public": str(public), "private": str(path)}, public)


@key_group.command("show")
@click.argument("name", required=False)
@without_session
def key_show(reporter: Reporter, name: str | None) -> None:
    """Show the public part of a key: of this name, else of the one that signs here."""
    file = str(key_folder() / f"{name}.pem") if name else load_user().cache.key
    signer = load_signer(file)
    if signer is None:
        raise ConfigError("there is no key", hint="photonbuild cache key new NAME")
    answer({"public": str(signer.public)}, signer.public)


def _names(session: Session, packages: tuple[str, ...], profile: str | None, images: tuple[str, ...]) -> list[str]:
    """The specs that are meant: none where only images are."""
    if images and not packages and profile is None:
        return []
    return sorted(pipeline.chosen_specs(session, packages, profile or "default"))


@cache_group.command("push")
@packages_argument
@profile_option
@image_option
@click.option("--seeds/--no-seeds", default=True, show_default=True, help="The seeds, too: large, and rarely new.")
@command
def cache_push(
    session: Session, packages: tuple[str, ...], profile: str | None, images: tuple[str, ...], seeds: bool
) -> None:
    """Send what the store has of packages (the default profile's, unless told otherwise) and images, and the seeds."""
    done = caches.push(session, _names(session, packages, profile, images), images, seeds=seeds)
    for name, sent in done.sent.items():
        session.reporter.info(f"{name}: {sent['entries']} entries, {sent['bytes'] / 1e6:.1f} MB sent")
    if not done.sent:
        session.reporter.info("the caches have all of it")
    answer(dataclasses.asdict(done))
    if done.missing:
        session.reporter.warn(f"not in the store: {', '.join(done.missing)}")


@cache_group.command("pull")
@packages_argument
@profile_option
@image_option
@click.option("--all", "whole", is_flag=True, help="Also debuginfo, source packages and logs.")
@command
def cache_pull(
    session: Session, packages: tuple[str, ...], profile: str | None, images: tuple[str, ...], whole: bool
) -> None:
    """Fetch into the store what packages and images need. Builds nothing: fails if something is in no cache."""
    count = caches.pull(session, _names(session, packages, profile, images), images, whole=whole)
    received = {cache.name: cache.received for cache in session.caches.caches}
    for name, size in received.items():
        session.reporter.info(f"{name}: {size / 1e6:.1f} MB received")
    answer({"packages": count, "received": received})


@cache_group.command("status")
@packages_argument
@profile_option
@image_option
@command
def cache_status(session: Session, packages: tuple[str, ...], profile: str | None, images: tuple[str, ...]) -> None:
    """Show what each cache has of packages and images as they are in this checkout."""
    names = sorted(pipeline.chosen_specs(session, packages, profile or "default"))
    found = caches.status(session, names, images)
    lines = []
    for each in found:
        share = f"{each.have} of {each.of}" + (f" ({100 * each.have / each.of:.0f} %)" if each.of else "")
        holds = "" if each.entries is None else f"; holds {each.entries} entries, {(each.bytes or 0) / 1e6:.0f} MB"
        state = "cannot be reached" if each.reached else f"has {share}{holds}"
        lines.append(f"{each.name}: {state}; {'read and written' if each.writes else 'read'}")
        lines += [f"  not there: {', '.join(each.missing[:10])}"] if each.missing and not each.reached else []
    answer([dataclasses.asdict(each) for each in found], *lines)


@cache_group.command("gc")
@click.argument("name", required=False)
@click.option("--older-than", metavar="TIME", help="Entries that were written so long ago: 90d, 12h.")
@click.option("--size", metavar="SIZE", help="The oldest entries go until the rest fits: 50G.")
@click.option("--dry-run", is_flag=True, help="Remove nothing, say what would go.")
@command
def cache_gc(session: Session, name: str | None, older_than: str | None, size: str | None, dry_run: bool) -> None:
    """Remove old entries of a cache that can list what it holds: a folder, S3."""
    try:
        older = None if older_than is None else gc.seconds_of(older_than)
        most = None if size is None else gc.bytes_of(size)
    except ValueError as wrong:
        raise ConfigError(str(wrong), where="photonbuild cache gc") from None
    if older is None and most is None:
        raise ConfigError("nothing says what may go", hint="--older-than 90d, --size 50G, or both")
    paths = caches.collect(session, name, older=older, size=most, dry_run=dry_run)
    answer(paths, *paths)
