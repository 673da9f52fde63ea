"""docs/use/kickstart.md."""

from __future__ import annotations

from pathlib import Path

from photonbuild.installer.kickstart.reference import reference

ROOT = Path(__file__).parents[4]


def test_the_page_is_what_the_table_says() -> None:
    page = (ROOT / "docs/use/kickstart.md").read_text(encoding="utf-8")
    assert page == reference(), "bin/photonbuild kickstart reference --output docs/use/kickstart.md"
