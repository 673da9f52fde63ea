"""An image as it is described, with everything resolved: what its settings leave to defaults, profiles, file names."""

from __future__ import annotations

from typing import Any

import yaml

from photonbuild.config.models import DiskImage
from photonbuild.images.formats import FORMATS
from photonbuild.pipeline.installsets import set_requests
from photonbuild.pipeline.recipe import image_with
from photonbuild.pipeline.session import Session


def description(session: Session, name: str, *, profile: str | None = None) -> dict[str, Any]:
    """The image `name`, with another profile in place of its own if one is given. Raises ConfigError.

    ``settings`` are all that ``build/images/NAME.yaml`` may hold, ``installs`` the packages that are asked for by name
    in each set (what these require comes with them), ``output`` the files that are made.
    """
    config = session.config
    image = image_with(session, name, profile)
    found = FORMATS[image.format]
    stem = f"{config.distribution.prefix}{image.variant}"
    disks = image.disk.disks if isinstance(image, DiskImage) else ()
    output = [f"{stem}{suffix}" for suffix in (found.suffix, *found.extras)]
    output += [name for each in disks for name in found.names(stem, each.name)]
    settings = image.model_dump(mode="json", context={"whole": True})
    texts = {file.path: text for file, text in config.image_files(name)}
    settings["files"] = [{**file, "text": texts[file["path"]]} for file in settings["files"]]
    return {
        "image": name,
        "described_in": f"build/images/{name}.yaml",
        "distribution": config.distribution.model_dump(mode="json"),
        "settings": settings,
        "installs": {
            str(role): {
                "profile": asked.profile.name,
                "first": list(asked.profile.first),
                "packages": list(asked.profile.packages),
                **({"over": "root"} if asked.over_root else {}),
            }
            for role, asked in set_requests(config, image).items()
        },
        "authorized_keys": list(dict.fromkeys([*settings.get("authorized_keys", ()), *config.user.authorized_keys])),
        "output": [f"stage/images/{name}" for name in output],
    }


class _Dumper(yaml.SafeDumper):
    """YAML for a reader: texts of several lines as such, lists set in."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def as_yaml(value: object) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
