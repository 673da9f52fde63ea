"""The page of the last build: its record, the images under stage/ and what came of verifying them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from photonbuild.errors import ConfigError
from photonbuild.files import read_json, write_text
from photonbuild.pipeline.session import Session
from photonbuild.report.page import render
from photonbuild.report.record import FOLDER, Record, read_record, read_verifications

PAGE = FOLDER / "index.html"
MANIFEST = ".manifest.json"
USED = ("file", "format", "platform", "size", "sha256", "packages")


def write_report(session: Session, output: Path | None = None, record: Record | None = None) -> Path:
    """Write the page, to stage/report/index.html unless told otherwise. Raises ConfigError without a record."""
    stage = session.config.stage_dir
    record = read_record(stage) if record is None else record
    manifests = read_manifests(stage)
    images = [stage / "images" / manifest["file"] for manifest in manifests]
    distribution = session.config.distribution
    text = render(
        record,
        distribution=f"{distribution.name} {distribution.version}",
        manifests=manifests,
        reports=read_verifications(stage, images),
    )
    output = stage / PAGE if output is None else output
    output.parent.mkdir(parents=True, exist_ok=True)
    write_text(output, text)
    return output


def read_manifests(stage: Path) -> Sequence[Mapping[str, Any]]:
    """The manifests of the images under stage/, by name of file. Raises ConfigError for what is none of ours."""
    found = []
    for path in sorted((stage / "images").glob(f"*{MANIFEST}")):
        try:
            manifest = read_json(path)
            found.append({key: manifest[key] for key in USED})
        except (OSError, ValueError, KeyError, TypeError) as error:
            hint = "photonbuild image makes it anew"
            raise ConfigError(f"this is no manifest of an image: {error!r}", where=str(path), hint=hint) from None
    return [manifest for manifest in found if (stage / "images" / manifest["file"]).exists()]
