"""Spec records as rpm gave them for the small distribution (tests/data/mini-records.json)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from photonbuild.config.sources import SourcesFile
from photonbuild.errors import SpecError
from photonbuild.packages.graph import build_graph
from photonbuild.packages.macros import distribution_macros
from photonbuild.packages.records import check_spec_record
from photonbuild.packages.spec import Spec, check_spec, make_spec
from photonbuild.pipeline.configuration import load_config

ROOT = Path(__file__).parents[3]
RECORDS: dict[str, Any] = json.loads((ROOT / "tests" / "data" / "mini-records.json").read_text(encoding="utf-8"))


def spec(name: str, files: tuple[str, ...]) -> Spec:
    record = {**RECORDS[name], "expanded": "0"}
    return make_spec(Path("specs") / name, record, SourcesFile(), tuple((file, "0") for file in files))


def test_graph_of_the_small_distribution() -> None:
    specs = {name: spec(name, ()) for name in RECORDS}
    graph = build_graph(specs, seed_capabilities={}, is_owned=lambda name: False)
    assert graph.needs["mini"] == {"libmini"}
    assert graph.needs["mini-suite"] == {"mini-tool", "mini-data"}
    assert graph.maker["libmini-devel"] == "libmini"


def test_each_source_must_be_known() -> None:
    check_spec(spec("mini", ("mini.spec", "main.c")))
    with pytest.raises(SpecError, match=r"main\.c is neither beside the spec nor in its sources\.yaml") as error:
        check_spec(spec("mini", ("mini.spec", "main.cc")))
    assert error.value.hint == "did you mean main.cc?"


def test_macros_carry_the_identity() -> None:
    text = distribution_macros(load_config(ROOT))
    assert "%dist .phos1\n" in text
    assert "%_host x86_64-phos-linux-gnu\n" in text


def test_names_of_keys_in_a_record_that_is_none_are_shown_without_control_characters() -> None:
    with pytest.raises(SpecError) as error:
        check_spec_record({**RECORDS["mini"], "expanded": "0" * 64, "warnings": "", "\x1b[2J": 1}, SpecError, "mini")
    assert "?[2J: Extra inputs" in str(error.value.detail)
