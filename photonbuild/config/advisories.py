"""``build/advisories/*.yaml``: what an update mends, for who asks which of his packages need one."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator

from photonbuild.config.validation import Model, Name

Cve = Annotated[str, Field(pattern=r"^CVE-[0-9]{4}-[0-9]{4,}$")]
# VERSION-RELEASE, after EPOCH: where there is one
Evr = Annotated[str, Field(pattern=r"^([0-9]+:)?[A-Za-z0-9._+~^]+-[A-Za-z0-9._+~^]+$")]
Day = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]


class Advisory(Model):
    """One advisory. `packages`: by the name of a spec, the version of its packages that mends it.

    `issued`, `updated`: days, as 2026-11-20. Only what concerns security has a severity.
    """

    id: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9-]*-[0-9]{4}[:-][0-9]+$")]
    type: Literal["security", "bugfix", "enhancement"] = "security"
    severity: Literal["low", "moderate", "important", "critical"] | None = None
    title: Annotated[str, Field(min_length=1, max_length=200)]
    description: str
    issued: Day
    updated: Day | None = None
    cves: tuple[Cve, ...] = ()
    packages: Annotated[dict[Name, Evr], Field(min_length=1)]
    reboot: bool = False

    @model_validator(mode="after")
    def _of_one_kind(self) -> Advisory:
        if (self.type == "security") != (self.severity is not None):
            raise ValueError("'severity' is for an advisory of the type security, and for each of them")
        for day in filter(None, (self.issued, self.updated)):
            datetime.date.fromisoformat(day)
        if self.updated is not None and self.updated < self.issued:
            raise ValueError("'updated' is before 'issued'")
        return self
