"""The rules of DMTF DSP0243 (1.1 and 2.x) for a descriptor, as a list of what is broken. Knows nothing of our template.

Elements of hardware items are those of the CIM classes *ResourceAllocationSettingData*, *StorageAllocationSettingData*,
*EthernetPortAllocationSettingData* and *VirtualSystemSettingData*; their schemas sort them by name.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Generator, Iterator

CIM = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_"
ENVELOPES = {"http://schemas.dmtf.org/ovf/envelope/1": 1, "http://schemas.dmtf.org/ovf/envelope/2": 2}
RASD, VSSD = f"{CIM}ResourceAllocationSettingData", f"{CIM}VirtualSystemSettingData"
CLASSES = {
    "Item": RASD,
    "StorageItem": f"{CIM}StorageAllocationSettingData.xsd",
    "EthernetPortItem": f"{CIM}EthernetPortAllocationSettingData.xsd",
}
COMMON = {
    "Address", "AddressOnParent", "AllocationUnits", "AutomaticAllocation", "AutomaticDeallocation", "Caption",
    "ChangeableType", "ConfigurationName", "Connection", "ConsumerVisibility", "Description", "ElementName",
    "Generation", "HostResource", "InstanceID", "Limit", "MappingBehavior", "OtherResourceType", "Parent", "PoolID",
    "Reservation", "ResourceSubType", "ResourceType", "VirtualQuantity", "VirtualQuantityUnits", "Weight",
}  # fmt: skip
MORE = {
    "StorageItem": {"Access", "HostExtentName", "HostResourceBlockSize", "VirtualResourceBlockSize"},
    "EthernetPortItem": {"DefaultPortVID", "DesiredVLANEndpointMode", "NetworkPortProfileID"},
}
UNSIGNED = {"VirtualQuantity", "Reservation", "Limit", "Weight", "AddressOnParent", "Address", "ResourceType"}
BOOLEAN = {"AutomaticAllocation", "AutomaticDeallocation"}
PROCESSOR, MEMORY, DISK, ETHERNET = "3", "4", "17", "10"
CONTROLLERS = {"5", "6", "20"}  # IDE, parallel SCSI, other storage
STORAGE, PORTS = {"14", "15", "16", "17", "31", "32"}, {"10", "30"}
UNITS = re.compile(r"(byte|bit|hertz|count|percent)( ?\* ?[0-9]+(\^[0-9]+)?)*")
INTEGERS = {f"{sign}int{bits}": (sign == "s", bits) for sign in "us" for bits in (8, 16, 32, 64)}
TYPES = {*INTEGERS, "string", "boolean", "real32", "real64"}
PRODUCT_ORDER = (
    "Info", "Product", "Vendor", "Version", "FullVersion", "ProductUrl", "VendorUrl", "AppUrl", "Icon", "Category",
    "Property",
)  # fmt: skip
SECTIONS = {
    "Envelope": {
        "DiskSection", "NetworkSection", "DeploymentOptionSection", "SharedDiskSection", "PlacementGroupSection",
    },
    "VirtualSystem": {
        "AnnotationSection", "ProductSection", "EulaSection", "OperatingSystemSection", "InstallSection",
        "VirtualHardwareSection", "BootDeviceSection", "EnvironmentFilesSection", "ScaleOutSection", "PlacementSection",
    },
}  # fmt: skip


def descriptor_problems(text: str | bytes) -> list[str]:
    """What of the rules the descriptor breaks; empty for a good one."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        return [f"no XML: {error}"]
    namespace, _, name = root.tag[1:].partition("}")
    if namespace not in ENVELOPES or name != "Envelope":
        return [f"the root element is {root.tag}"]
    return list(Descriptor(root, namespace, ENVELOPES[namespace]).problems())


class Descriptor:
    """One parsed descriptor of major version 1 or 2."""

    def __init__(self, root: ElementTree.Element, namespace: str, version: int) -> None:
        self.root, self.ns, self.version = root, f"{{{namespace}}}", version

    def get(self, element: ElementTree.Element, name: str) -> str | None:
        return element.get(f"{self.ns}{name}")

    def local(self, element: ElementTree.Element) -> str:
        return element.tag.removeprefix(self.ns)

    def all(self, name: str) -> list[ElementTree.Element]:
        return list(self.root.iter(f"{self.ns}{name}"))

    def ids(self, element: str, attribute: str) -> list[str]:
        return [self.get(found, attribute) or "" for found in self.all(element)]

    def problems(self) -> Iterator[str]:
        yield from self.order()
        yield from self.references()
        yield from self.sections()
        for product in self.all("ProductSection"):
            yield from self.product(product)
        for hardware in self.all("VirtualHardwareSection"):
            yield from self.hardware(hardware)
        for element in self.root.iter():
            for key in ("required", "userConfigurable", "password", "bound"):
                value = self.get(element, key)
                if key != "bound" and value is not None and value not in ("true", "false", "1", "0"):
                    yield f"{key} of {self.local(element)} is not a boolean: {value!r}"

    def order(self) -> Iterator[str]:
        names = [self.local(child) for child in self.root]
        content = [name for name in names if name in ("VirtualSystem", "VirtualSystemCollection")]
        if names[:1] != ["References"]:
            yield "References is not the first element of the envelope"
        if len(content) != 1:
            yield f"{len(content)} virtual systems or collections at the top, not one"
        ranks = [0 if n == "References" else 2 if n in content else 3 if n == "Strings" else 1 for n in names]
        if ranks != sorted(ranks):
            yield "the envelope's elements are not in the order References, sections, content, strings"
        wrong = {n for n, rank in zip(names, ranks, strict=True) if rank == 1} - SECTIONS["Envelope"]
        if wrong:
            yield f"no sections of an envelope: {sorted(wrong)}"
        for system in self.all("VirtualSystem"):
            children = [self.local(child) for child in system]
            if not self.get(system, "id"):
                yield "a virtual system without id"
            if children[:1] != ["Info"] or "Name" in children[2:]:
                yield "a virtual system begins with Info and then Name"
            if set(children) - {"Info", "Name"} - SECTIONS["VirtualSystem"]:
                yield f"no sections of a virtual system: {sorted(set(children) - SECTIONS['VirtualSystem'])}"

    def references(self) -> Iterator[str]:
        files, disks = self.ids("File", "id"), self.ids("Disk", "diskId")
        for what, names in (("File", files), ("Disk", disks), ("Network", self.ids("Network", "name"))):
            for name, count in Counter(names).items():
                if not name or count > 1:
                    yield f"{what} has the identifier {name!r} {count} times"
        for file in self.all("File"):
            if not self.get(file, "href") or not re.fullmatch(r"[0-9]+", self.get(file, "size") or "0"):
                yield "a File needs href, and its size is a number"
        for disk in self.all("Disk"):
            reference, units = self.get(disk, "fileRef"), self.get(disk, "capacityAllocationUnits") or "byte"
            if reference is not None and reference not in files:
                yield f"fileRef {reference!r} is no File"
            if not re.fullmatch(r"[0-9]+|\$\{.+\}", self.get(disk, "capacity") or ""):
                yield f"capacity {self.get(disk, 'capacity')!r} is no number"
            if not re.fullmatch(r"[0-9]+", self.get(disk, "populatedSize") or "0"):
                yield "populatedSize is no number"
            if not UNITS.fullmatch(units):
                yield f"capacityAllocationUnits {units!r} are no programmatic units"
            if not re.match(r"[a-z]+://", self.get(disk, "format") or ""):
                yield "the format of a disk is a URI"
        unused = set(files) - set(self.ids("Disk", "fileRef")) - {
            host.rpartition("/")[2] for item in self.root.iter() for host in [item.text or ""] if "/file/" in host
        }  # fmt: skip
        if unused:
            yield f"files that nothing refers to: {sorted(unused)}"

    def sections(self) -> Iterator[str]:
        for element in self.root.iter():
            if self.local(element).endswith("Section") and [self.local(child) for child in element][:1] != ["Info"]:
                yield f"{self.local(element)} does not begin with Info"
        for system in self.all("OperatingSystemSection"):
            if not re.fullmatch(r"[0-9]{1,5}", self.get(system, "id") or ""):
                yield "the operating system's id is a number of CIM_OperatingSystem.OSType"

    def product(self, section: ElementTree.Element) -> Iterator[str]:
        ranks = [min(PRODUCT_ORDER.index(self.local(c)), 9) if self.local(c) in PRODUCT_ORDER else -1 for c in section]
        if -1 in ranks or ranks != sorted(ranks):
            yield "the elements of a product section are not in their order"
        keys = Counter(self.get(entry, "key") or "" for entry in section.iter(f"{self.ns}Property"))
        yield from (f"property {key!r} is there {count} times" for key, count in keys.items() if count > 1)
        for entry in section.iter(f"{self.ns}Property"):
            key, kind, value = (self.get(entry, name) for name in ("key", "type", "value"))
            if not key or re.search(r"[.:\s]", key):
                yield f"property key {key!r} is empty or has a period, a colon or white space"
            if kind not in TYPES:
                yield f"property {key}: no type {kind!r}"
            elif value and not value_fits(kind, value):
                yield f"property {key}: {value!r} is no {kind}"

    def hardware(self, section: ElementTree.Element) -> Iterator[str]:
        names = [self.local(child) for child in section]
        order = ["Info", "System", "Item", "StorageItem", "EthernetPortItem"]
        known = order if self.version == 2 else order[:3]
        if set(names) - set(known) or names != sorted(names, key=known.index) or names.count("System") != 1:
            yield f"elements of the hardware section, or their order: {names}"
            return
        system = {child.tag.removeprefix(f"{{{VSSD}}}"): child.text for child in section[names.index("System")]}
        for needed in ("ElementName", "InstanceID", "VirtualSystemType"):
            if not system.get(needed):
                yield f"System has no {needed}"
        items: dict[str, dict[str, str]] = {}
        for child in section[names.index("System") + 1 :]:
            fields = yield from self.item(child)
            if fields.get("InstanceID") in items or fields.get("InstanceID") == system.get("InstanceID"):
                yield f"InstanceID {fields.get('InstanceID')} is there twice"
            items[fields.get("InstanceID", "")] = fields
        for fields in items.values():
            yield from self.relations(fields, items)
        kinds = Counter(fields.get("ResourceType") for fields in items.values())
        yield from (f"no item of resource type {kind}" for kind in (PROCESSOR, MEMORY) if kinds[kind] != 1)

    def item(self, element: ElementTree.Element) -> Generator[str, None, dict[str, str]]:
        kind = self.local(element)
        prefix = f"{{{CLASSES[kind]}}}"
        names = [child.tag.removeprefix(prefix) for child in element]
        fields = {name: child.text or "" for name, child in zip(names, element, strict=True)}
        where = fields.get("ElementName", "an item")
        if names != sorted(names):
            yield f"{where}: the elements are not in the order of the schema"
        yield from (f"{where}: no element {n} in its class" for n in set(names) - COMMON - MORE.get(kind, set()))
        yield from (f"{where}: no {n}" for n in ("ElementName", "InstanceID", "ResourceType") if not fields.get(n))
        yield from (f"{where}: {n} is no number" for n in UNSIGNED & set(names) if not fields[n].isdigit())
        yield from (f"{where}: {n} is no boolean" for n in BOOLEAN & set(names) if fields[n] not in ("true", "false"))
        if not UNITS.fullmatch(fields.get("AllocationUnits", "byte")):
            yield f"{where}: {fields['AllocationUnits']!r} are no programmatic units"
        wanted = "StorageItem" if fields.get("ResourceType") in STORAGE else (
            "EthernetPortItem" if fields.get("ResourceType") in PORTS else "Item"
        )  # fmt: skip
        if self.version == 2 and kind != wanted:
            yield f"{where}: {kind} for resource type {fields.get('ResourceType')}, not {wanted}"
        return fields

    def relations(self, fields: dict[str, str], items: dict[str, dict[str, str]]) -> Iterator[str]:
        where, parent = fields.get("ElementName"), fields.get("Parent")
        kind, quantity = fields.get("ResourceType"), fields.get("VirtualQuantity", "0")
        if parent is not None and parent not in items:
            yield f"{where}: its parent {parent} is no item"
        if kind == DISK and (parent is None or items.get(parent, {}).get("ResourceType") not in CONTROLLERS):
            yield f"{where}: a disk hangs on a controller"
        if (kind == DISK or parent is not None) and "AddressOnParent" not in fields and kind != ETHERNET:
            yield f"{where}: no AddressOnParent"
        if kind in (PROCESSOR, MEMORY) and not int(quantity if quantity.isdigit() else 0):
            yield f"{where}: VirtualQuantity is at least one"
        if kind == MEMORY and not fields.get("AllocationUnits", "").startswith("byte"):
            yield f"{where}: memory is counted in bytes"
        if kind in PORTS and fields.get("Connection") not in self.ids("Network", "name"):
            yield f"{where}: no network {fields.get('Connection')!r}"
        if host := fields.get("HostResource"):
            match = re.fullmatch(r"(?:ovf:)?/(disk|file)/(.+)", host)
            known = self.ids("Disk", "diskId") if match and match[1] == "disk" else self.ids("File", "id")
            if match is None or match[2] not in known:
                yield f"{where}: HostResource {host!r} is nothing in this package"


def value_fits(kind: str, value: str) -> bool:
    """Is the text a value of this type of a property?"""
    if kind in INTEGERS:
        signed, bits = INTEGERS[kind]
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        return bool(re.fullmatch(r"-?[0-9]+", value)) and low <= int(value) <= high
    if kind.startswith("real"):
        return bool(re.fullmatch(r"[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?", value))
    return kind != "boolean" or value in ("true", "false")
