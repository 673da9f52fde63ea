"""OVF: what a hypervisor makes of an appliance's descriptor and of what its owner fills in (DMTF DSP0243).

The keys of the environment file follow from the descriptor in the image (section 9.5.1, "Property elements"); it comes
on a CD, the transport "iso" (section 11).
"""

from __future__ import annotations

import base64
import contextlib
import json
import tarfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.sax.saxutils import quoteattr

from photonbuild.errors import VerifyError
from photonbuild.machines.clouds.instance import MAC, Cloud, InstanceSpec, MediaBuilder, Provisioning

LABEL = "OVF ENV"
EXTRA_ADDRESS = "192.0.2.11"


def descriptor(image: Path) -> str:
    """The descriptor of an appliance, its first file. Raises VerifyError."""
    try:
        with tarfile.open(image, "r:") as archive:
            first = archive.next()
            content = archive.extractfile(first) if first is not None and first.name.endswith(".ovf") else None
            if content is not None:
                return content.read().decode()
    except (tarfile.TarError, OSError, UnicodeError) as error:
        raise VerifyError(f"cannot be read: {error}", where=str(image)) from None
    raise VerifyError("no appliance: it does not begin with a descriptor", where=str(image))


def properties(instance: InstanceSpec) -> dict[str, str]:
    """What the owner fills in, by property. Pure."""
    card = {"match": {"macaddress": MAC}, "dhcp4": True, "addresses": [f"{EXTRA_ADDRESS}/24"]}
    network = {"network": {"version": 2, "ethernets": {"card": card}}}
    return {
        "hostname": instance.hostname,
        "instance-id": str(instance.uuid),
        "public-keys": instance.public_key,
        "user-data": base64.b64encode(instance.user_data.encode()).decode(),
        "network-config": base64.b64encode(json.dumps(network).encode()).decode(),
    }


def environment_values(text: str, filled_in: Mapping[str, str]) -> dict[str, str]:
    """The environment's properties by their whole keys: CLASS.KEY.INSTANCE, as far as the section has the two. Pure.

    What is not filled in has the descriptor's value. Raises VerifyError when the descriptor does not ask for a property
    that is filled in.
    """
    values: dict[str, str] = {}
    asked = set[str]()
    for section in ElementTree.fromstring(text).iterfind(".//{*}VirtualSystem/{*}ProductSection"):
        about = attributes(section)
        for entry in section.iterfind("{*}Property"):
            facts = attributes(entry)
            key, free = facts.get("key", ""), facts.get("userConfigurable", "false") in ("true", "1")
            whole = ".".join(part for part in (about.get("class"), key, about.get("instance")) if part)
            values[whole] = filled_in[key] if free and key in filled_in else facts.get("value", "")
            asked |= {key} if free else set()
    if missing := sorted(filled_in.keys() - asked):
        raise VerifyError(f"the appliance does not ask for {', '.join(missing)}", hint="see build/ovf/machine.ovf.j2")
    return values


def attributes(element: ElementTree.Element) -> dict[str, str]:
    """An element's attributes by their names without a name space."""
    return {name.rpartition("}")[2]: value for name, value in element.attrib.items()}


def environment(values: Mapping[str, str]) -> str:
    """``ovf-env.xml``. Pure."""
    lines = "".join(
        f"    <Property oe:key={quoteattr(key)} oe:value={quoteattr(value)}/>\n" for key, value in values.items()
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1"\n'
        '             xmlns:oe="http://schemas.dmtf.org/ovf/environment/1" oe:id="machine">\n'
        f"  <PropertySection>\n{lines}  </PropertySection>\n</Environment>\n"
    )


@contextlib.contextmanager
def serve(instance: InstanceSpec, media: MediaBuilder) -> Iterator[Provisioning]:
    text = environment(environment_values(descriptor(instance.image), properties(instance)))
    yield Provisioning(drives=[media.cd(LABEL, {"ovf-env.xml": text})], addresses=[EXTRA_ADDRESS])


CLOUD = Cloud(datasource="OVF", serve=serve)
