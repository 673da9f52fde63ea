"""What a command says of its work as data, and what is made of it: events, the record, the page, a whole pipeline."""

from __future__ import annotations

import html.parser
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Checkout
from tests.support.faults import IMAGE, add_image
from tests.support.jsonschema import violations


def validated(checkout: Checkout, stderr: str) -> list[dict[str, Any]]:
    """The events of a run, each as the schema says that `photonbuild schema events` prints."""
    schema = json.loads(checkout.run_plain("schema", "events").stdout)
    found = [json.loads(line) for line in stderr.splitlines()]
    assert [wrong for event in found for wrong in violations(event, schema, schema)] == []
    return found


class Page(html.parser.HTMLParser):
    """The tags of a page that could load something, and whether every element is closed."""

    VOID = frozenset(("meta", "br", "polygon"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.urls: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.urls += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_events_of_real_runs_are_those_of_the_schema(checkout: Checkout) -> None:
    first = checkout.run("build", "--json")
    told = validated(checkout, first.stderr)
    assert (told[0]["event"], told[0]["command"]) == ("run", "build")
    assert (told[-1]["event"], told[-1]["code"]) == ("end", 0)
    finished = {event["package"]: event for event in told if event["event"] == "finish"}
    assert finished.keys() == {"libmini", "mini", "mini-data", "mini-suite", "mini-tool"}
    assert all(event["why"] == ["never built here"] and event["cpu_seconds"] > 0 for event in finished.values())
    assert "libmini" in finished["mini"]["needs"]
    answer = json.loads(first.stdout)
    assert answer.keys() == finished.keys() and all(Path(path).is_file() for paths in answer.values() for path in paths)
    # Only what was changed is built, and says why.
    source = checkout.root / "specs" / "libmini" / "mini.c"
    source.write_text(source.read_text(encoding="utf-8") + "/* more */\n", encoding="utf-8")
    again = validated(checkout, checkout.run("build", "--json").stderr)
    built = {event["package"]: event["why"] for event in again if event["event"] == "finish" and not event["cached"]}
    assert built.keys() == {"libmini"} and any(line.startswith("files mini.c") for line in built["libmini"])
    planned = checkout.run("plan", "--json")
    validated(checkout, planned.stderr)
    assert {step["state"] for step in json.loads(planned.stdout)} == {"cached"}


def test_events_of_a_build_that_fails(checkout: Checkout) -> None:
    checkout.edit("mini-data", "%install", "%install\nfalse '<script>alert(1)</script>'")
    told = validated(checkout, checkout.run("build", "--json", code=6).stderr)
    assert [event["ok"] for event in told if event["event"] == "finish" and event["package"] == "mini-data"] == [False]
    (error,) = [event for event in told if event["event"] == "error"]
    assert error["code"] == 6 and "<script>" in error["detail"]
    assert told[-1]["event"] == "end" and told[-1]["code"] == 6
    page = Path(checkout.run("report", "--json").stdout and checkout.root / "stage" / "report" / "index.html")
    text = page.read_text(encoding="utf-8")
    assert "failed with exit code 6" in text and "&lt;script&gt;" in text
    assert not Page(text).tags & {"script", "link", "img", "iframe", "object"}


def test_there_is_no_report_before_a_build(checkout: Checkout) -> None:
    assert "nothing was built here yet" in checkout.run("report", code=2).stderr


def test_a_pipeline(checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image of no machine: it is made, not booted. What fails stops the rest, and is in every report."""
    add_image(checkout.root)
    given = tmp_path / "step-summary.md"
    given.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(given))
    done = checkout.run("ci", "--json")
    told = validated(checkout, done.stderr)
    outcomes = [(event["name"], event["outcome"]) for event in told if event["event"] == "stage"]
    assert outcomes == [("plan", "passed"), ("build", "passed"), ("images", "passed"), ("verify", "passed")]
    (image,) = [event for event in told if event["event"] == "image"]
    assert (
        image["name"] == IMAGE and (checkout.root / "stage" / "images" / image["file"]).stat().st_size == image["size"]
    )
    files = {name: Path(path) for name, path in json.loads(done.stdout).items()}
    summary = files["summary"].read_text(encoding="utf-8")
    assert given.read_text(encoding="utf-8") == "before\n" + summary
    assert "ci succeeded" in summary and image["sha256"] in summary and "never built here" in summary
    text = files["page"].read_text(encoding="utf-8")
    assert image["file"] in text and "mini-data" in text and "Critical path" in text
    page = Page(text)
    assert page.urls == [] and not page.tags & {"script", "link", "img", "iframe", "object"}
    assert not re.search(r"url\(|@import|https?:", text)
    # The same again, of another spec that fails.
    checkout.edit("mini-data", "%install", "%install\nfalse")
    failed = checkout.run("ci", "--json", code=6)
    told = validated(checkout, failed.stderr)
    outcomes = [(event["name"], event["outcome"]) for event in told if event["event"] == "stage"]
    assert outcomes == [("plan", "passed"), ("build", "failed"), ("images", "skipped"), ("verify", "skipped")]
    summary = files["summary"].read_text(encoding="utf-8")
    assert "failed with exit code 6" in summary and "mini-data does not build" in summary
    assert given.read_text(encoding="utf-8").endswith(summary)
