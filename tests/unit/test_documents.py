"""The documentation: every link leads somewhere, and the map of the code is that of the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.architecture import COMMAND, PAGE, with_map

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?://|mailto:)([^)\s]+)\)")
# A page as it is named in a comment, a docstring or another page.
NAMED = re.compile(r"\bdocs/[\w/-]+\.md\b")
TEXTS = ("*.py", "*.yaml", "*.j2", "*.sh", "*.md", "*.go", "*.c", "*.h")
FOLDERS = ("build", "docs", "kickstarts", "photonbuild", "pico", "src", "tests")


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists() and target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


def texts() -> Iterator[Path]:
    yield from (ROOT / name for name in ("README.md", "CHANGELOG.md", "Makefile"))
    for folder in FOLDERS:
        for pattern in TEXTS:
            yield from (ROOT / folder).rglob(pattern)


def test_every_page_that_is_named_is_there() -> None:
    named = {(path, name) for path in texts() for name in NAMED.findall(path.read_text(encoding="utf-8"))}
    assert {f"{path.relative_to(ROOT)}: {name}" for path, name in named if not (ROOT / name).is_file()} == set()


def test_every_page_is_linked_from_another() -> None:
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in PAGES
        for link in LINK.findall(page.read_text(encoding="utf-8"))
    }
    assert {str(page.relative_to(ROOT)) for page in PAGES[2:] if page not in linked} == set()


def test_the_map_is_that_of_the_code() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_map(page), f"the map in {PAGE.relative_to(ROOT)} is stale: {COMMAND}"
