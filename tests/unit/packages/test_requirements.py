"""Which spec needs which, by what capability."""

from __future__ import annotations

import json

import pytest

from photonbuild.packages.declared import DeclaredPackage, DeclaredSpec, DeclaredTree
from photonbuild.packages.drawing import chain_dot, chain_text, chosen, data_of, dot_of, quoted, tallied, text_of
from photonbuild.packages.package import Dependency
from photonbuild.packages.requirements import Bond, Kind, Missing, alternatives_of, requirements


def needs(*texts: str) -> tuple[Dependency, ...]:
    found = []
    for text in texts:
        name, relation, version = (text, "", "") if text.startswith("(") else (*text.split(" "), "", "")[:3]
        found.append(Dependency(name=name, relation=relation, version=version))
    return tuple(found)


def made(
    name: str, *, requires: tuple[str, ...] = (), provides: tuple[str, ...] = (), files: tuple[str, ...] = ()
) -> DeclaredPackage:
    return DeclaredPackage(
        name=name, provides=needs(f"{name} = 1-1", *provides), requires=needs(*requires), files=files
    )


def spec(
    name: str,
    *packages: DeclaredPackage,
    build: tuple[str, ...] = (),
    path: str = "",
    evr: str = "1-1",
    wanted: bool = True,
) -> DeclaredSpec:
    return DeclaredSpec(
        path=path or f"SPECS/{name}/{name}.spec",
        name=name,
        evr=evr,
        build_requires=needs(*build),
        packages=packages or (made(name),),
        wanted=wanted,
    )


TREE = (
    spec("shell", made("shell", requires=("library >= 1",))),
    spec(
        "library",
        made("library"),
        made("library-devel", requires=("library = 1-1",), files=("/usr/lib/pkgconfig/library.pc",)),
        build=("compiler",),
    ),
    spec("compiler", made("compiler", requires=("(shell or other-shell)",))),
    spec("tool", made("tool", requires=("/bin/sh",)), build=("pkgconfig(library)", "nothing-here")),
    spec("sh", made("sh", files=("/usr/bin/sh",)), build=("library-devel >= 2",)),
)


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("(coreutils or toybox)", [["coreutils", "toybox"]]),
        ("(a >= 9.1-7 or b >= 9.1-7)", [["a >= 9.1-7", "b >= 9.1-7"]]),
        ("(a if b)", [["a"]]),
        ("((a or b) if c)", [["a", "b"]]),
        ("(a and b)", [["a"], ["b"]]),
        ("(python3dist(x) >= 1 with python3dist(x) < 2)", [["python3dist(x) >= 1"], ["python3dist(x) < 2"]]),
        ("(a if (b or c) else d)", [["a"]]),
        ("((a unless b) or d)", [["a", "d"]]),
    ],
)
def test_rich_dependencies(text: str, groups: list[list[str]]) -> None:
    assert [[str(one) for one in group] for group in alternatives_of(Dependency(name=text))] == groups


def test_what_meets_what() -> None:
    graph = requirements(TREE)
    assert graph.run["shell"] == (Bond(tag="Requires", capability="library >= 1", package="library"),)
    assert graph.run["compiler"] == (Bond(tag="Requires", capability="(shell or other-shell)", package="shell"),)
    # A module that is known by its file, and a file below a folder that is a link nowadays.
    assert [bond.package for bond in graph.build["tool"]] == ["library-devel"]
    assert [bond.package for bond in graph.run["tool"]] == ["sh"]
    assert graph.missing == (
        Missing(user="sh", tag="BuildRequires", capability="library-devel >= 2", found="library-devel = 1-1"),
        Missing(user="tool", tag="BuildRequires", capability="nothing-here"),
    )


@pytest.mark.parametrize(
    ("user", "needed", "kind", "chain"),
    [
        ("tool", "library", "all", ["tool BuildRequires: pkgconfig(library) → library-devel (library)"]),
        (
            "tool",
            "shell",
            "all",
            [
                "tool BuildRequires: pkgconfig(library) → library-devel (library)",
                "library BuildRequires: compiler",
                "compiler Requires: (shell or other-shell) → shell",
            ],
        ),
        ("tool", "sh", "run", ["tool Requires: /bin/sh → sh"]),
        ("tool", "sh", "build", None),
        ("tool", "library", "run", None),
        ("shell", "tool", "all", None),
        # From and to a package that is not called as its spec.
        ("library-devel", "library", "run", ["library-devel Requires: library = 1-1 → library"]),
        # In a circle there is a way from a spec back to itself.
        (
            "shell",
            "shell",
            "all",
            [
                "shell Requires: library >= 1 → library",
                "library BuildRequires: compiler",
                "compiler Requires: (shell or other-shell) → shell",
            ],
        ),
    ],
)
def test_the_shortest_chain(user: str, needed: str, kind: Kind, chain: list[str] | None) -> None:
    graph = requirements(TREE)
    steps = graph.why(user, needed, kind)
    assert (None if steps is None else list(chain_text(graph, steps))) == chain


def test_circles_are_counted_and_no_error() -> None:
    assert requirements(TREE).circles() == [["library"]]
    tied = (spec("a", build=("b",)), spec("b", build=("c",)), spec("c", made("c", requires=("a",))), spec("d"))
    # Nothing has to be there before `c` is built: it is in the build root of `b`, and so is `a`.
    assert requirements(tied).circles() == [["a", "b"]]
    # What packages require of each other is no matter of the order of builds.
    assert requirements((spec("x", made("x", requires=("y",))), spec("y", made("y", requires=("x",))))).circles() == []


def test_who_needs_it() -> None:
    graph = requirements(TREE)
    assert list(chain_text(graph, graph.users("shell"))) == ["compiler Requires: (shell or other-shell) → shell"]
    assert [step.user for step in graph.users("library")] == ["shell", "tool"]
    assert graph.all_users("shell") == ["compiler", "library", "tool"]
    assert graph.all_users("tool") == []


def test_several_specs_of_one_name_are_called_by_their_paths_and_the_newest_counts() -> None:
    tree = (
        spec("driver", path="SPECS/k/one.spec", evr="1-9"),
        spec("driver", path="SPECS/k/two.spec", evr="1-10"),
        spec("user", build=("driver",)),
    )
    graph = requirements(tree)
    assert list(graph.specs) == ["SPECS/k/one.spec", "SPECS/k/two.spec", "user"]
    assert graph.maker == {
        "driver": "SPECS/k/two.spec",
        "driver (SPECS/k/one.spec)": "SPECS/k/one.spec",
        "user": "user",
    }
    assert [bond.package for bond in graph.build["user"]] == ["driver"]
    assert graph.named("SPECS/k/one.spec") == "SPECS/k/one.spec"


def test_what_leaves_itself_out_is_no_part_of_it() -> None:
    graph = requirements((spec("a", path="90/a.spec", wanted=False), spec("a", path="a.spec"), spec("b", build=("a",))))
    assert list(graph.specs) == ["a", "b"]
    assert graph.specs["a"].path == "a.spec"


def test_what_a_seed_stands_for_enters_no_build_root() -> None:
    tree = (
        spec("gcc", made("gcc", requires=("glibc",))),
        spec("glibc"),
        spec("app", made("app", requires=("glibc",)), build=("gcc", "make")),
    )
    graph = requirements(tree, is_owned=lambda name: name in ("gcc", "glibc"), in_seed=lambda name: name == "make")
    assert graph.missing == ()
    assert graph.why("app", "glibc", "build") is None
    assert [step.tag for step in graph.why("app", "glibc", "all") or ()] == ["Requires"]


def test_how_deep() -> None:
    graph = requirements(TREE)
    assert chosen(graph, ["tool"], "build", 0) == {"tool"}
    assert chosen(graph, ["tool"], "build", 1) == {"tool", "library"}
    assert chosen(graph, ["tool"], "all", None) == {"tool", "library", "compiler", "shell", "sh"}
    assert chosen(graph, [], "all", 1) == set(graph.specs)


def test_forms() -> None:
    graph = requirements(TREE)
    tree = DeclaredTree(specs=TREE, refused={"bad.spec": "error: line 1"}, fresh=frozenset())
    assert list(text_of(graph, {"tool"}, "all")) == [
        "tool 1-1",
        "  BuildRequires: pkgconfig(library) → library-devel (library)",
        "  Requires: /bin/sh → sh",
        "  BuildRequires: nothing-here: not in this tree",
    ]
    data = json.loads(json.dumps(data_of(graph, tree, set(graph.specs), "all")))
    assert data["refused"] == [{"path": "bad.spec", "error": "error: line 1"}]
    assert data["circles"] == [["library"]]
    assert [row["spec"] for row in data["specs"]] == sorted(graph.specs)
    dot = dot_of(graph, {"tool", "library", "sh"}, "all")
    assert '  "tool" -> "library";\n' in dot
    assert '  "tool" -> "sh" [style=dashed];\n' in dot
    assert "compiler" not in dot
    assert tallied(graph, tree)["refused by rpm"] == 1
    steps = graph.why("tool", "shell") or []
    assert '"library-devel" -> "library" [style=dotted]' in chain_dot(graph, steps)


def test_no_name_is_a_statement_of_the_dot_language() -> None:
    assert quoted('a"; b -> c; "\\N\n') == '"a\\"; b -> c; \\"\\\\N "'


def test_a_chain_of_thousands_needs_no_recursion() -> None:
    count = 2000
    tree = [spec(f"s{number}", build=(f"s{number + 1}",) if number + 1 < count else ()) for number in range(count)]
    graph = requirements(tree)
    assert len(graph.why("s0", f"s{count - 1}") or ()) == count - 1
    assert graph.circles() == []
