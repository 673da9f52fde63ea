"""The leak guard: nothing of the seed may be in a package, or be needed by one, unless it is declared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from photonbuild.errors import BuildError
from photonbuild.packages.buildroot import Builder
from photonbuild.packages.package import Package, dependencies
from photonbuild.packages.spec import Spec


def check_leaks(
    builder: Builder, spec: Spec, records: Sequence[Mapping[str, Any]], installed: Mapping[str, Package]
) -> None:
    """Every library and pkg-config module that the results require must come from packages of ours in the build root,
    and no ELF file may be one of the seed's own. Raises BuildError with the line to add."""
    known = {need.name for record in records for need in dependencies(record["provides"])}
    known |= {capability for package in installed.values() for capability in package.capabilities}
    where = spec.where
    elf = builder.seed.elf.union(*(layer.elf for layer in builder.layers_of(spec)))
    for record in records:
        for name in [need.name for need in dependencies(record["requires"])]:
            is_library = (".so" in name and name.endswith(")")) or name.startswith("pkgconfig(")
            if is_library and name not in known and not builder.offers.seed_provides(name):
                raise BuildError(
                    f"{record['name']} uses {name} of the seed, not of a package of ours",
                    where=where,
                    hint="add the BuildRequires of the -devel package that has it, or switch the feature off",
                )
        copies = [path for path, digest in record["elf"] if digest in elf]
        if copies and spec.name not in builder.config.seeds.copies:
            raise BuildError(
                f"{record['name']} holds files that are byte for byte the seed's: {', '.join(copies[:5])}",
                where=where,
                hint="packages are built from source",
            )
