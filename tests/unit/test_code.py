"""Which code a module runs, as an input of keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild import code


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in {
        "photonbuild/__init__.py": "",
        "photonbuild/a.py": "from photonbuild.b import thing\n",
        "photonbuild/b.py": "def f():\n    from photonbuild.group import c\n",
        "photonbuild/group/__init__.py": "",
        "photonbuild/group/c.py": "import os\n",
        "photonbuild/d.py": "from photonbuild import a\n",
        "pico/__init__.py": "import photonbuild.d\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_imports_are_followed_wherever_they_stand(project: Path) -> None:
    assert code.closure(["photonbuild.a"], project) == {"photonbuild.a", "photonbuild.b", "photonbuild.group.c"}
    assert code.imported(project / "pico/__init__.py", project) == {"photonbuild.d"}


def test_a_program_that_is_named_counts_as_imported(project: Path) -> None:
    (project / "photonbuild/d.py").write_text('RUN = "photonbuild.group.c"\nNAME = "pico"\n')
    assert code.imported(project / "photonbuild/d.py", project) == {"photonbuild.group.c"}


def test_only_what_is_imported_is_an_input(project: Path) -> None:
    before = code.digests(["photonbuild.a"], project)
    assert list(before) == ["photonbuild/a.py", "photonbuild/b.py", "photonbuild/group/c.py"]
    (project / "photonbuild/d.py").write_text("# changed\n")
    assert code.digests(["photonbuild.a"], project) == before
    (project / "photonbuild/group/c.py").write_text("# changed\n")
    after = code.digests(["photonbuild.a"], project)
    assert {name for name in after if after[name] != before[name]} == {"photonbuild/group/c.py"}
