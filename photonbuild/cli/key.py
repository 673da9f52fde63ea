"""The commands about OpenPGP keys. No logic here."""

from __future__ import annotations

import datetime

import click

from photonbuild.cli.options import answer, command
from photonbuild.pipeline.repository import keyring
from photonbuild.pipeline.session import Session
from photonbuild.publication.openpgp import Key


@click.group("key")
def key_group() -> None:
    """OpenPGP keys that sign packages, metadata and checksum files."""


@key_group.command("new")
@click.argument("name")
@click.option("--user", required=True, help="Who signs, as in: Example Project.")
@click.option("--email", required=True, help="Address of the user id.")
@click.option("--comment", default="", help="Comment of the user id.")
@click.option("--expires", default="3y", show_default=True, help="When it ends: 0 (never), 2y, 18m, 2030-01-01.")
@command
def key_new(session: Session, name: str, user: str, email: str, comment: str, expires: str) -> None:
    """Make a key, and keep it as NAME.asc in your own folder: RSA of 4096 bits, without a passphrase."""
    ring = keyring(session)
    key = ring.new(name, user=user, email=email, comment=comment, expires=expires)
    session.reporter.info(f"{ring.folder / name}.asc: the private key; keep a copy where nobody else gets at it")
    answer({"name": name, "fingerprint": key.fingerprint}, key.fingerprint)


@key_group.command("show")
@click.argument("names", nargs=-1)
@command
def key_show(session: Session, names: tuple[str, ...]) -> None:
    """Show fingerprint, dates and user ids of keys: of all in your folder, files, or agent:FINGERPRINT."""
    ring = keyring(session)
    keys = {name: ring.public(name) for name in names or ring.names()}
    fields = ("fingerprint", "created", "expires", "user_ids")
    data = {name: {field: getattr(key, field) for field in fields} for name, key in keys.items()}
    answer(data, *(_text(name, key) for name, key in keys.items()))


@key_group.command("export")
@click.argument("name")
@command
def key_export(session: Session, name: str) -> None:
    """Print the public key, armored, as clients import it."""
    text = keyring(session).public(name).public
    answer({"name": name, "public": text}, text.removesuffix("\n"))


def _text(name: str, key: Key) -> str:
    ends = f", expires {_day(key.expires)}" if key.expires else ", does not expire"
    return "\n".join(
        [name, f"  {key.fingerprint}", f"  made {_day(key.created)}{ends}", *map("  {}".format, key.user_ids)]
    )


def _day(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).date().isoformat()
