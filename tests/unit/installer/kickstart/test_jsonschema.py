"""The JSON schema."""

from __future__ import annotations

import json

from photonbuild.installer.kickstart.jsonschema import jsonschema
from photonbuild.installer.kickstart.keys import KICKSTART


def test_the_json_schema_has_every_key() -> None:
    schema = jsonschema()
    assert set(schema["properties"]) == {field.name for field in KICKSTART.fields}
    assert schema["oneOf"] == [{"required": ["disk"]}, {"required": ["disks"]}]
    assert schema["properties"]["firstboot"]["not"] == {}
    assert schema["properties"]["ui"]["description"].startswith("without effect: ")
    json.dumps(schema)
