"""The commands about this machine and the configuration files. No logic here."""

from __future__ import annotations

import dataclasses
import json
import sys

import click

from photonbuild import events
from photonbuild.cli.options import answer, command, without_session
from photonbuild.log import Reporter
from photonbuild.pipeline import doctor
from photonbuild.pipeline.configuration import schema
from photonbuild.pipeline.session import Session


@click.command("doctor")
@command
def doctor_command(session: Session) -> None:
    """Check this machine: namespaces, sub-ids, programs, disk, memory, KVM."""
    findings = doctor.examine(session.store)
    lines = []
    for finding in findings:
        lines.append(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.what}: {finding.found}")
        if not finding.ok and finding.hint:
            lines += [f"      hint: {line}" for line in finding.hint.splitlines()]
    answer([dataclasses.asdict(finding) for finding in findings], *lines)
    if not all(finding.ok for finding in findings):
        sys.exit(5)


@click.command("schema")
@click.argument("kind")
@without_session
def schema_command(reporter: Reporter, kind: str) -> None:
    """JSON schema of a configuration file: distribution, seed, profile, FORMAT-image, sources, runtimes or user.

    The one of `events` describes the lines that --json writes on standard error.
    """
    found = events.schema() if kind == "events" else schema(kind)
    answer(found, json.dumps(found, indent=1))
