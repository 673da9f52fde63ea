"""rpm's own parser on real specs: what unit tests take for granted."""

from __future__ import annotations

import json

from tests.integration.conftest import PROJECT, Checkout


def test_records_are_what_rpm_says(checkout: Checkout) -> None:
    checkout.run("plan")
    found = {}
    for path in (checkout.store / "specs").glob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        assert len(record.pop("expanded")) == len(record.pop("seal")) == 64
        found[record["name"]] = record
    assert found == json.loads((PROJECT / "tests" / "data" / "mini-records.json").read_text(encoding="utf-8"))


def test_number_of_jobs_is_in_no_record(checkout: Checkout) -> None:
    checkout.run("plan", "--jobs", "1")
    one = {path.name: path.read_text() for path in (checkout.store / "specs").glob("*.json")}
    for path in (checkout.store / "specs").glob("*.json"):
        path.unlink()
    checkout.run("plan", "--jobs", "7")
    assert {path.name: path.read_text() for path in (checkout.store / "specs").glob("*.json")} == one
