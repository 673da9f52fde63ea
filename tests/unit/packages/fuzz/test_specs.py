"""What a spec's author writes, and has the parser's process write: errors of that spec, fit for a terminal."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from photonbuild.config.load import load_sources
from photonbuild.config.sources import SourcesFile
from photonbuild.errors import ConfigError, SpecError
from photonbuild.packages.readspecs import _answers, _record
from photonbuild.packages.spec import check_spec, make_spec
from photonbuild.roots import Roots
from photonbuild.sources import specfile
from photonbuild.sources.debian import newest_first, parse, plain
from tests.support.fuzz import for_a_while, mutated

RECORD = json.loads((Path(__file__).parents[3] / "data" / "mini-records.json").read_text(encoding="utf-8"))["mini"]
WHOLE = {**RECORD, "expanded": "0" * 64, "warnings": ""}
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.sampled_from(["../../x", "/etc/passwd", "\x1b[2J", "\ud800", "a\nb", "", ".", "..", "-", "9" * 300]),
)  # fmt: skip
KEYS = st.sampled_from([*WHOLE, "error", "spec", "relation"])
TREES = st.recursive(
    ODD,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(KEYS, st.text(max_size=4)), inner, max_size=4),
    ),
    max_leaves=10,
)  # fmt: skip


@contextlib.contextmanager
def only(*kinds: type[SpecError] | type[ConfigError]) -> Iterator[None]:
    """Only these errors, all of whose parts may go to a terminal."""
    try:
        yield
    except kinds as error:
        for part in (error.message, error.where or "", error.detail or "", error.hint or ""):
            assert all(character.isprintable() or character in "\n\t" for character in part), ascii(part)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a tree of lists and mappings."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def with_value(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[path[0]] = with_value(tree[path[0]], path[1:], value)
    return copy


PLACES = list(places(WHOLE))


@for_a_while
@given(st.sampled_from(PLACES), TREES)
def test_a_record(place: tuple[Any, ...], value: Any) -> None:
    changed = with_value(WHOLE, place, value)
    if isinstance(changed, dict) and isinstance(value, dict) and not place:
        changed = {**WHOLE, **value}
    with only(SpecError):
        record = _record("mini", {"path": "x", "spec": changed})
        spec = make_spec(Path("specs/mini"), record, SourcesFile(), ())
        for name in (spec.name, spec.version, spec.release, *spec.sources, *(each.name for each in spec.packages)):
            assert name and "/" not in name and name not in (".", "..") and name.isprintable(), ascii(name)
        json.dumps(record, ensure_ascii=False).encode()
        check_spec(spec)


@for_a_while
@given(st.one_of(mutated("spec-answers"), TREES.map(lambda tree: json.dumps(tree).encode())), st.integers(1, 3))
def test_answers_of_the_parser(data: bytes, count: int) -> None:
    found = _answers(data.decode(errors="replace"), count)
    assert len(found) == count
    for answer in found:
        with only(SpecError):
            _record("mini", answer)


@for_a_while
@given(mutated("specs"), st.text("0123456789.~+a%{}", min_size=1, max_size=8), st.integers(0, 3))
def test_the_text_of_a_spec(data: bytes, value: str, rebuild: int) -> None:
    text = data.decode(errors="replace")
    for name in ("Version", "Release"):
        with only(SpecError):
            specfile.tag(text, name, "mini")
            changed = specfile.replace_tag(text, name, value, "mini")
            assert specfile.tag(changed, name, "mini") == value
            assert len(changed) == len(text) - len(specfile.tag(text, name, "mini")) + len(value)
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base) / "mini"
        folder.mkdir()
        (folder / "mini.spec").write_bytes(data)
        (folder / specfile.CHANGELOG).write_text("* Fri Nov 20 2026 A <a@b> - 1.0-1\n- 100%done\n", encoding="utf-8")
        with only(SpecError):
            built = specfile.built_text(folder, rebuild)
            assert built is not None and built.endswith("- 1.0-1\n- 100%%done\n")


@for_a_while
@given(mutated("changelogs"))
def test_a_changelog(data: bytes) -> None:
    text = data.decode(errors="replace")
    with only(SpecError):
        specfile.check_changelog(text, "specs/mini/changelog")
        longer = specfile.with_entry(text, "* Fri Nov 20 2026 A <a@b> - 1.0-1\n- x")
        specfile.check_changelog(longer, "specs/mini/changelog")


@for_a_while
@given(mutated("sources-yaml"))
def test_sources(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base) / "specs/mini"
        folder.mkdir(parents=True)
        (folder / "sources.yaml").write_bytes(data)
        with only(ConfigError):
            for entry in load_sources(folder, roots=Roots.of(Path(base))).sources:
                assert all("/" not in name and name not in ("", ".", "..") for name in entry.names), entry


@for_a_while
@given(mutated("debian-sources"))
def test_an_index_of_source_packages(data: bytes) -> None:
    for package in parse(data.decode(errors="replace")):
        assert all(path.startswith("pool/") and ".." not in path.split("/") for path in package.files), package
        plain(package.upstream)
        assert package.original is None or package.original in package.files
        assert package.changes is None or package.changes in package.files
    newest_first([])
