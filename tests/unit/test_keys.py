"""Keys and what differs between two lists of inputs."""

from __future__ import annotations

import os
from pathlib import Path

from photonbuild.keys import changes, differences, key_of, short, write_inputs


def test_key_depends_on_every_input_and_not_on_order() -> None:
    inputs = {"spec": "a", "installed": {"x": "1", "y": "2"}}
    assert key_of(inputs) == key_of({"installed": {"y": "2", "x": "1"}, "spec": "a"})
    assert key_of(inputs) != key_of({"spec": "a", "installed": {"x": "1", "y": "3"}})


def test_differences_name_the_input() -> None:
    old = {"seed": "s" * 64, "files": {"a.c": "1", "b.c": "2"}}
    new = {"seed": "s" * 64, "files": {"a.c": "9", "c.c": "3"}}
    assert differences(old, new) == ["files a.c: 1 → 9", "files b.c: 2 → absent", "files c.c: absent → 3"]


def test_a_difference_shows_lists_and_shortens_digests() -> None:
    old = {"first": ["filesystem"], "file": f"0644 {'a' * 64}"}
    new = {"first": ["filesystem", "bash"], "file": f"0755 {'a' * 64}"}
    assert differences(old, new) == [
        f"file: 0644 {'a' * 12} → 0755 {'a' * 12}",
        "first: filesystem → filesystem bash",
    ]
    assert short([]) == "nothing"


def test_the_entry_most_like_it_is_compared_with(tmp_path: Path) -> None:
    assert changes([tmp_path / "none"], {}) is None
    entries = {"old": {"seed": "1", "key": "k"}, "new": {"seed": "1", "key": "m"}, "other": {"seed": "9", "key": "o"}}
    for number, (name, inputs) in enumerate(entries.items()):
        (tmp_path / name).mkdir()
        write_inputs(tmp_path / name, inputs)
        os.utime(tmp_path / name / "inputs.json", (number, number))
    assert changes(tmp_path.iterdir(), {"seed": "2", "key": "k"}) == ["seed: 1 → 2"]
    assert changes(tmp_path.iterdir(), {"seed": "1", "key": "k"}) == []
    assert changes(tmp_path.iterdir(), {"seed": "2", "key": "n"}) == ["key: o → n", "seed: 9 → 2"], (
        "the newest of three"
    )
