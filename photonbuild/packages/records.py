"""What the sandbox writes about specs, checked before it is believed.

A spec's author has code run while the spec is parsed: names become paths and lines on a terminal here, so nothing but
what rpm itself can say gets past these models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from photonbuild.errors import PhotonbuildError


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has characters that cannot be printed")
    return text


LONGEST = 1 << 16
# No control characters, of which terminals make commands, and no separators of lines.
LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
Text = Annotated[str, StringConstraints(max_length=LONGEST)]
Line = Annotated[str, StringConstraints(max_length=4096, pattern=LINE)]
Word = Annotated[str, StringConstraints(max_length=255, pattern=r"^[A-Za-z0-9_][A-Za-z0-9._+~^-]*$")]
FileName = Annotated[str, StringConstraints(max_length=255, pattern=r"^[^/.][^/]*$"), AfterValidator(_printable)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, lt=1 << 63)]


class Record(BaseModel):
    """What comes out of a sandbox: nothing but what it may hold."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class DependencyRecord(Record):
    name: Annotated[Line, StringConstraints(min_length=1)]
    relation: Literal["", "<", "<=", "=", ">=", ">"]
    version: Line


Dependencies = tuple[DependencyRecord, ...]


class DeclaredPackage(Record):
    """A package as its spec declares it."""

    name: Word
    arch: Word
    summary: Text | None
    license: Line
    provides: Dependencies
    requires: Dependencies


class SpecRecord(Record):
    """What packages/inside/specs.py says of one spec."""

    name: Word
    epoch: Count | None
    version: Word
    release: Word
    license: Line
    url: Line | None
    summary: Text | None
    build_requires: Dependencies
    build_conflicts: Dependencies
    sources: tuple[FileName, ...]
    packages: tuple[DeclaredPackage, ...]
    expanded: Digest
    warnings: Text


SPEC = TypeAdapter(SpecRecord)


def check_spec_record(value: Any, error: type[PhotonbuildError], where: str) -> dict[str, Any]:
    """The record as it came, when it is one. Raises `error`."""
    return dict(_checked(SPEC, value, error, where))


def _checked(adapter: TypeAdapter[Any], value: Any, error: type[PhotonbuildError], where: str) -> Any:
    try:
        # A tuple is a list in JSON, which strict validation of Python's values would not take.
        return adapter.dump_python(adapter.validate_python(value, strict=False), mode="json")
    except (ValidationError, RecursionError, ValueError) as wrong:
        raise error("what came out of the sandbox is no record of rpm's", where=where, detail=reason(wrong)) from None


def reason(wrong: Exception) -> str:
    """Where and what, without the value: it may be anything. So may names of keys, which go to a terminal."""
    if not isinstance(wrong, ValidationError):
        return type(wrong).__name__
    details: Sequence[Any] = wrong.errors(include_url=False, include_input=False, include_context=False)
    lines = [f"{'.'.join(map(str, one['loc']))[:200]}: {one['msg']}" for one in details[:10]]
    return "\n".join("".join(char if char.isprintable() else "?" for char in line) for line in lines)
