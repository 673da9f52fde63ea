"""What an image tells cloud-init, held against the JSON schemas that the cloud-init in the image brings itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import jsonschema
import yaml

from photonbuild.config.load import Config
from photonbuild.config.models import Image
from photonbuild.documents import Document, Problem, fail, nearest, parse_yaml
from photonbuild.errors import ConfigError
from photonbuild.images.customise.texts import Text, content_text

SCHEMAS = "usr/lib/python3*/site-packages/cloudinit/config/schemas"
USER_DATA = "schema-cloud-config-v1.json"
NETWORK = {1: "schema-network-config-v1.json", 2: "schema-network-config-v2.json"}
# Other forms of user data, by their beginning; cloud-init has no schema for them.
OTHER_FORMS = ("#!", "#include", "#cloud-boothook", "#part-handler", "Content-Type: multipart/", "## template:")
Location = Sequence[int | str]


def check_cloud_data(config: Config, name: str, image: Image, trees: Iterable[Path]) -> None:
    """Check user data and network configuration of the image. `trees`: of the packages that are in it.

    Raises ConfigError with file, line and the nearest key, also where no package has the schemas.
    """
    wanted = image.cloud_init
    if wanted is None:
        return
    document = config.image_document(name)
    where = document.where("cloud_init", key=True)
    folder = next((found for tree in trees for found in tree.glob(SCHEMAS)), None)
    if folder is None:
        raise ConfigError("there is no cloud-init in this image", where=where, hint="add it to 'packages'")
    _check_user_data(content_text(config, document, wanted.user_data, "cloud_init", "user_data"), folder)
    if wanted.network_config is not None:
        text = content_text(config, document, wanted.network_config, "cloud_init", "network_config")
        _check_network(text, folder)


def _check_user_data(text: Text, folder: Path) -> None:
    first = text.text.lstrip("\n").split("\n", 1)[0]
    if first.startswith(OTHER_FORMS):
        return
    if first.strip() != "#cloud-config":
        message = f"user data begins with its form, like #cloud-config or #!/bin/sh, not with '{first[:40]}'"
        raise fail(text.name, [text.problem(0, f"{message}{nearest(first, ['#cloud-config'])}")])
    validate(text, json.loads((folder / USER_DATA).read_text(encoding="utf-8")), what="user data")


def _check_network(text: Text, folder: Path) -> None:
    data = _data(text)
    inner = data.get("network", data) if isinstance(data, dict) else data
    version = inner.get("version") if isinstance(inner, dict) else None
    if version not in NETWORK:
        raise fail(text.name, [text.problem(0, "a network configuration says 'version: 1' or 'version: 2'")])
    schema = json.loads((folder / NETWORK[version]).read_text(encoding="utf-8"))
    # The schema of version 1 is that of what is below 'network', the one of version 2 says so itself.
    validate(text, schema, what="the network configuration", data=inner)


def _data(text: Text) -> Any:
    """As cloud-init reads it: YAML 1.1. Raises ConfigError."""
    try:
        return yaml.safe_load(text.text) or {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        message = f"not valid YAML: {getattr(error, 'problem', error)}"
        raise fail(text.name, [text.problem(mark.line if mark else 0, message)]) from None


def validate(text: Text, schema: Mapping[str, Any], *, what: str, data: Any = None) -> None:
    """Raises ConfigError with everything that the schema refuses."""
    whole = _data(text)
    document = parse_yaml(text.text, text.name)
    prefix = ("network",) if data is not None and isinstance(whole, dict) and whole.get("network") is data else ()
    validator = jsonschema.validators.validator_for(schema)(schema)
    problems = [
        _problem(text, document, (*prefix, *loc), message, what)
        for error in validator.iter_errors(whole if data is None else data)
        for loc, message in _said(error)
    ]
    if problems:
        raise fail(text.name, problems)


def _problem(text: Text, document: Document, loc: Location, message: str, what: str) -> Problem:
    line = text.line + document.line(loc, key=True) - 1
    key = ".".join(map(str, loc))
    return Problem(line=line, message=f"key '{key}' of {what}: {message}" if key else f"{what}: {message}")


def _said(error: jsonschema.ValidationError) -> Iterator[tuple[Location, str]]:
    """Place and words of an error; of alternatives, those of the one that fits best."""
    loc, schema = tuple(error.absolute_path), cast("dict[str, Any]", error.schema)
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = list(schema.get("properties", {}))
        for name in sorted(set(error.instance) - set(known), key=str):
            yield (*loc, name), f"unknown key{nearest(str(name), known)}"
    elif error.validator in ("anyOf", "oneOf") and error.context:
        yield from _said_of_alternatives(error, loc)
    elif error.validator == "enum":
        yield loc, _unknown(error.instance, list(schema["enum"]))
    else:
        yield loc, error.message[:300]


def _said_of_alternatives(error: jsonschema.ValidationError, loc: Location) -> Iterator[tuple[Location, str]]:
    branches: dict[Any, list[jsonschema.ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(inner.relative_schema_path[0], []).append(inner)
    # What is of another type altogether was not meant.
    meant = [some for some in branches.values() if not any(e.validator == "type" and not e.relative_path for e in some)]
    if not meant:
        yield loc, error.message[:300]
        return
    wrong_kind = [[e for e in some if e.validator in ("enum", "const")] for some in meant]
    if len(meant) > 1 and all(wrong_kind) and len({tuple(some[0].absolute_path) for some in wrong_kind}) == 1:
        first = wrong_kind[0][0]
        schemas = [cast("dict[str, Any]", some[0].schema) for some in wrong_kind]
        values = [value for schema in schemas for value in schema.get("enum", [schema.get("const")])]
        yield tuple(first.absolute_path), _unknown(first.instance, values)
        return
    best = min(zip(meant, wrong_kind, strict=True), key=lambda pair: (len(pair[1]), len(pair[0])))[0]
    for inner in best:
        yield from _said(inner)


def _unknown(value: Any, known: Sequence[Any]) -> str:
    names = list(dict.fromkeys(map(str, known)))
    return f"unknown value '{value}'{nearest(str(value), names)} (one of: {', '.join(names)})"
