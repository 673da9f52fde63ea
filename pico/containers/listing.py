"""Tables of machines, images and templates, as text for people; the rows also as JSON for programs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pico.factory import pool, template
from pico.oci import store
from pico.vm.host import Host
from pico.vm.state import Machine, machines


def machines_of(root: Path, *, all_of_them: bool) -> list[dict[str, Any]]:
    """A row for each machine that runs; with `all_of_them` also for all others that QEMU runs for."""
    rows = [summary(machine) for machine in machines(root)]
    if all_of_them:
        rows += [summary(spare) for spare in pool.spares(root)]
        return rows + [{**summary(Machine(path)), "state": "template"} for path in template.unfinished(root)]
    return [row for row in rows if row["state"] in ("running", "spare")]


def summary(machine: Machine) -> dict[str, Any]:
    """All that ``ps --json`` says of a machine, also of one that vanishes meanwhile."""
    record = machine.record()
    state = machine.state()
    facts: dict[str, Any] = asdict(record) if record else {"id": machine.id, "name": "", "image": "", "args": []}
    facts |= {"state": state, "pid": machine.pid(), "folder": str(machine.folder)}
    facts["exit_code"] = machine.exit_code() if state == "exited" else None
    return facts


def machine_table(rows: Sequence[dict[str, Any]]) -> str:
    """As ``docker ps`` has it."""
    table = [("ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAME")]
    for row in rows:
        command = " ".join(row["args"])
        status = f"exited ({row['exit_code']})" if row["state"] == "exited" else str(row["state"])
        table.append(
            (
                row["id"],
                _short(row["image"]),
                command if len(command) <= 24 else f"{command[:23]}…",
                ago(row["created"]) if "created" in row else "",
                status,
                ", ".join(row.get("ports", ())),
                row["name"],
            )
        )
    return _columns(table)


def images_of(root: Path) -> list[dict[str, Any]]:
    """A row for each image, newest first, with all that it is called."""
    pointers = [entry for _, entry in store.pointers(root)]
    return [
        {
            "id": image.id,
            "names": sorted(entry["name"] for entry in pointers if entry["image"] == image.id),
            "size": image.size,
            "created": image.created,
            "entrypoint": list(image.config.entrypoint),
            "command": list(image.config.command),
        }
        for image in store.everything(root)
    ]


def image_table(rows: Sequence[dict[str, Any]]) -> str:
    table = [("ID", "NAME", "CREATED", "SIZE")]
    for row in rows:
        for name in row["names"] or [""]:
            table.append((row["id"][:12], name, ago(row["created"]), f"{row['size'] / 1e6:.1f} MB"))
    return _columns(table)


def templates_of(host: Host) -> list[dict[str, Any]]:
    """A row for each template, with what its clones are like, and how many spares wait."""
    rows = []
    for folder, facts in template.templates(host.folder):
        machine = facts["hardware"]
        waiting = [each for each in pool.spares(host.folder) if each.folder.parent.name == folder.name and each.pid()]
        rows.append(
            {
                "template": folder.name,
                "memory": machine["memory"],
                "cpus": machine["cpus"],
                "volumes": bool(machine["volumes"]),
                "created": facts["created"],
                "state": "valid" if facts["host"] == host.digest else "stale",
                "spares": len(waiting),
            }
        )
    return rows


def template_table(rows: Sequence[dict[str, Any]]) -> str:
    table = [("TEMPLATE", "MEMORY", "CPUS", "VOLUMES", "CREATED", "STATE", "SPARES")]
    for row in rows:
        volumes = "yes" if row["volumes"] else "no"
        facts = (row["template"], f"{row['memory']} MiB", str(row["cpus"]), volumes)
        table.append((*facts, ago(row["created"]), row["state"], str(row["spares"])))
    return _columns(table)


def ago(then: float) -> str:
    """Seconds since 1970 as a time that has passed."""
    seconds = max(time.time() - then, 0)
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60), (172800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds / 86400:.0f} days ago"


def _short(name: str) -> str:
    """An image's name; of a path its end."""
    return name if len(name) <= 36 else f"…{name[-35:]}"


def _columns(table: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[index]) for row in table) for index in range(len(table[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table)
    return "".join(f"{line.rstrip()}\n" for line in lines)
