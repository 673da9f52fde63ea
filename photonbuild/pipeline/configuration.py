"""The whole configuration of a checkout or a project: its images are of the formats that are here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from photonbuild.config import load
from photonbuild.config.checks import unknown
from photonbuild.config.load import Config
from photonbuild.images.formats import FORMATS
from photonbuild.paths import default_store
from photonbuild.projects.resolve import Finder, roots_of
from photonbuild.store import Store

IMAGE_MODELS = {name: found.model for name, found in FORMATS.items()}
SCHEMAS = load.schemas(IMAGE_MODELS)


def load_config(
    root: Path, *, user_file: Path | None = None, store: Path | None = None, offline: bool = False
) -> Config:
    """Read the configuration of a checkout or a project.

    `user_file` as in `config.load.load_user`. `store` is where what a project extends is kept, by default that of the
    user; without a network nothing is fetched. Raises ConfigError, SourceError.
    """
    user = load.load_user(user_file)
    finder = Finder(store=lambda: Store.open(store or user.store_path or default_store()), offline=offline)
    return load.load(roots_of(root, finder), IMAGE_MODELS, user=user)


def schema(kind: str) -> dict[str, Any]:
    """JSON schema of one kind of file, a name of `SCHEMAS`. Raises ConfigError."""
    if kind not in SCHEMAS:
        raise unknown("schema", kind, SCHEMAS)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **SCHEMAS[kind].model_json_schema()}
