"""The command that makes an image. No logic here."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import click

from photonbuild.cli.options import (
    IMAGE_NAMES,
    PROFILE_NAMES,
    answer,
    building,
    command,
    from_cache_only,
    public_keys,
    recorded,
)
from photonbuild.config.models import Signing
from photonbuild.errors import ConfigError
from photonbuild.images.formats import FORMATS
from photonbuild.images.upload import upload_commands
from photonbuild.installer.kickstart.variables import parameters
from photonbuild.log import clock
from photonbuild.pipeline.image import make_image
from photonbuild.pipeline.kickstart import kickstart_image
from photonbuild.pipeline.session import Session


@click.command("image")
@click.argument("name", shell_complete=IMAGE_NAMES)
@click.option(
    "--ssh-key",
    "keys",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Public key that may log in as root (authorized_keys format).",
)
@click.option(
    "--profile",
    shell_complete=PROFILE_NAMES,
    help="Profile to install in place of the image's own (build/profiles/NAME.yaml).",
)
@click.option(
    "--kickstart",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Make the disk that this kickstart would install, on an image of this name.",
)
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Value for !param NAME of the kickstart.")
@click.option("--sign", is_flag=True, help="Sign an appliance with the key of your configuration (signing:).")
@click.option("--sign-key", type=click.Path(dir_okay=False), help="Sign with this RSA key (PEM, no passphrase).")
@click.option("--sign-certificate", type=click.Path(dir_okay=False), help="The certificate of that key (PEM).")
@from_cache_only
@command
@recorded
@building
def image_command(
    session: Session,
    name: str,
    keys: tuple[Path, ...],
    profile: str | None,
    kickstart: Path | None,
    params: tuple[str, ...],
    sign: bool,
    sign_key: str | None,
    sign_certificate: str | None,
) -> None:
    """Build an image (build/images/NAME.yaml) and everything in it, into stage/images."""
    lines = [line for path in keys for line in public_keys(path)]
    if (sign_key is None) != (sign_certificate is None):
        raise ConfigError("--sign-key and --sign-certificate go together")
    if sign_key is not None and sign_certificate is not None:
        sign = True
        session.config = session.config.override(signing=Signing(key=sign_key, certificate=sign_certificate))
    with contextlib.ExitStack() as stack:
        if kickstart is not None:
            given = parameters(params, "--param")
            name = stack.enter_context(kickstart_image(session, name, kickstart, given))
        elif params:
            raise ConfigError("--param is for a --kickstart")
        _make(session, name, lines, profile, sign)


def _make(session: Session, name: str, lines: list[str], profile: str | None, sign: bool) -> None:
    result, count = make_image(session, name, lines, profile=profile, sign=sign)
    phases = ", ".join(f"{phase} {clock(seconds)}" for phase, seconds in session.reporter.phases.items())
    path = os.path.relpath(result.path)
    session.reporter.info(f"\n{path}  {result.size / 1e6:.0f} MB, {count} packages, sha256 {result.sha256}")
    session.reporter.info(f"took {phases}")
    if FORMATS[session.config.image(name).format].boots:
        session.reporter.info(f"boot it: bin/photonbuild boot {path}")
    commands = upload_commands(session.config.roots, session.config.image(name), session.config.distribution, result)
    if commands:
        session.reporter.info(f"to upload it, fill in what is yours and run:\n\n{commands}")
    data = {"path": str(result.path), "size": result.size, "sha256": result.sha256, "packages": count}
    answer(data, result.path)
