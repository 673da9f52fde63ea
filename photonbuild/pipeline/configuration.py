"""The whole configuration of a checkout: its images are of the formats that are here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from photonbuild.config import load
from photonbuild.config.load import Config
from photonbuild.images.formats import FORMATS

IMAGE_MODELS = {name: found.model for name, found in FORMATS.items()}
SCHEMAS = load.schemas(IMAGE_MODELS)


def load_config(root: Path, *, user_file: Path | None = None) -> Config:
    """Read the configuration; see `photonbuild.config.load.load`."""
    return load.load(root, IMAGE_MODELS, user_file=user_file)


def schema(kind: str) -> dict[str, Any]:
    """JSON schema of one kind of file, a name of `SCHEMAS`. Raises ConfigError."""
    if kind not in SCHEMAS:
        raise load.unknown("schema", kind, SCHEMAS)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **SCHEMAS[kind].model_json_schema()}
