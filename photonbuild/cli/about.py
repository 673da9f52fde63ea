"""The commands about this machine and the configuration files. No logic here."""

from __future__ import annotations

import json
import sys

import click

from photonbuild.cli.options import command
from photonbuild.pipeline import doctor
from photonbuild.pipeline.configuration import schema
from photonbuild.pipeline.session import Session


@click.command("doctor")
@command
def doctor_command(session: Session) -> None:
    """Check this machine: namespaces, sub-ids, programs, disk, memory, KVM."""
    findings = doctor.examine(session.store)
    for finding in findings:
        click.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.what}: {finding.found}")
        if not finding.ok and finding.hint:
            click.echo(f"      hint: {finding.hint}")
    if not all(finding.ok for finding in findings):
        sys.exit(5)


@click.command("schema")
@click.argument("kind")
def schema_command(kind: str) -> None:
    """JSON schema of a configuration file: distribution, seed, profile, FORMAT-image, sources, runtimes or user."""
    click.echo(json.dumps(schema(kind), indent=1))
