"""A synthetic tree of specs as large distributions keep them, the same for the same numbers; rpm must take it as it is.

Its traits are those of such trees: licences that are included from a file beside the spec, macros that only the
distribution's own build defines, a second tree for an older branch whose specs leave themselves out, several specs in
one folder and of one name, rich dependencies, requirements of files and of pkg-config modules, scriptlets that are
included, programs run while parsing that are not there and say so, long changelogs, and some that rpm refuses.

    python -m tests.support.spectree FOLDER [SPECS]
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

SPECS = 1091
MACROS = """\
# What the distribution's own build defines.
%dist .t5
%subrelease 91
%KERNEL_VERSION 6.12.7
%KERNEL_RELEASE 3.t5
%kernelsubrelease .0612007003
%_libdir /usr/lib
"""
PATCH = "--- a/file\n+++ b/file\n@@ -1 +1 @@\n-old line\n+new line\n" * 20
ENTRY = """\
* Mon Jan 05 2026 A Packager <packager@example.com> {version}-{number}
- Bump version as a part of an upgrade of what it needs
- Fix the second-level requirements
"""


@dataclass(frozen=True, kw_only=True)
class SpecTree:
    """What was written: how many specs, which of them rpm refuses, which leave themselves out, which print."""

    count: int
    refused: frozenset[str]
    left_out: frozenset[str]
    loud: frozenset[str]


def write_tree(folder: Path, count: int = SPECS) -> SpecTree:
    """Write `count` specs below `folder`, and the macros that they need to ``macros`` beside it."""
    chance = random.Random(5)
    refused: set[str] = set()
    left_out: set[str] = set()
    loud: set[str] = set()
    paths: list[str] = []

    def put(path: str, text: str, *, license: bool = True) -> None:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        if license:
            (file.parent / "license.txt").write_text("License: MIT AND BSD-3-Clause\n", encoding="utf-8")
        paths.append(path)

    put("SPECS/kernel/kernel.spec", _kernel())
    (folder / "SPECS/kernel/scriptlets.inc").write_text("%post\n/sbin/depmod -a\n", encoding="utf-8")
    for number in range(3):
        put(f"SPECS/kernel/kernel-drivers-net-{number}.spec", _driver(f"1.{number}"))
    for name, text in REFUSED.items():
        refused.add(f"SPECS/{name}/{name}.spec")
        put(f"SPECS/{name}/{name}.spec", text, license=False)
    put("SPECS/coreutils/coreutils.spec", _plain("coreutils", [], [], extra="Provides: /bin/ls\n"))
    put("SPECS/grep/grep.spec", _plain("grep", ["coreutils"], [], files="%{_bindir}/grep\n"))
    names: list[str] = []
    while len(paths) < count:
        number = len(names)
        name = f"pkg{number:04}"
        near = sorted(chance.sample(names[-250:], min(len(names), chance.randint(0, 12))))
        common = sorted(chance.sample(names[:40], min(len(names), chance.randint(0, 4))))
        prints = number % 40 == 7
        older = number % 10 == 3 and len(paths) + 1 < count
        path = f"SPECS/{name}/{name}.spec"
        put(path, _library(name, near, common, prints=prints, branch=">= 91" if older else ""))
        if prints:
            loud.add(path)
        for patch in range(number % 6):
            (folder / f"SPECS/{name}/{name}-{patch}.patch").write_text(PATCH, encoding="utf-8")
        if older:
            path = f"SPECS/90/{name}/{name}.spec"
            put(path, _library(name, near[:2], [], prints=False, branch="<= 90"))
            left_out.add(path)
        names.append(name)
    (folder / "macros").write_text(MACROS, encoding="utf-8")
    return SpecTree(count=len(paths), refused=frozenset(refused), left_out=frozenset(left_out), loud=frozenset(loud))


def _head(name: str, version: str, release: str = "2%{?dist}") -> str:
    return (
        f"Summary:        The part called {name}\nName:           {name}\nVersion:        {version}\n"
        f"Release:        {release}\nGroup:          System Environment/Base\nVendor:         Example\n"
        "URL:            https://example.com/%{name}\n"
        "Source0:        https://example.com/%{name}/%{name}-%{version}.tar.gz\n"
        f"%define sha512  %{{name}}={'0123456789abcdef' * 8}\n"
    )


LICENSE = "Source1: license.txt\n%include %{SOURCE1}\n"


def _tail(version: str, entries: int = 40) -> str:
    return "%changelog\n" + "".join(ENTRY.format(version=version, number=n) for n in range(entries, 0, -1))


def _plain(name: str, build: Sequence[str], run: Sequence[str], *, extra: str = "", files: str = "") -> str:
    needs = "".join(f"BuildRequires: {one}\n" for one in build) + "".join(f"Requires: {one}\n" for one in run)
    return f"{_head(name, '9.1')}{LICENSE}{extra}{needs}%description\nx\n%files\n{files}{_tail('9.1')}"


def _library(name: str, near: Sequence[str], common: Sequence[str], *, prints: bool, branch: str) -> str:
    version = f"1.{len(near)}"
    condition = f"%global build_if %{{subrelease}} {branch}\n" if branch else ""
    run = '%{!?py2_site: %global py2_site %(python2 -c "import sys; print(sys.prefix)")}\n' if prints else ""
    build = [f"pkgconfig({one})" if number % 3 == 2 else f"{one}-devel" for number, one in enumerate(near)]
    requires = [f"{one} >= 1.0" for one in common]
    return (
        f"{condition}{run}%define debug_package %{{nil}}\n{_head(name, version)}{LICENSE}"
        "Patch0: first.patch\n"
        + "".join(f"BuildRequires:  {one}\n" for one in build)
        + "%if 0%{?with_check}\nBuildRequires: only-for-checks\n%endif\n"
        + (f"Requires: {', '.join(requires)}\n" if requires else "")
        + "Requires(post): (coreutils or toybox)\nRequires(postun): /bin/grep\n"
        f"%description\n{'A long sentence about it. ' * 10}\n"
        f"%package devel\nSummary: Headers\nRequires: %{{name}} = %{{version}}-%{{release}}\n"
        + "".join(f"Requires: {one}-devel\n" for one in near[:3])
        + "%description devel\nx\n%package docs\nSummary: Documents\n%description docs\nx\n"
        "%prep\n%autosetup -p1\n%build\n%configure --disable-static\n%make_build\n"
        "%install\n%make_install\n%check\nmake check\n"
        f"%files\n%defattr(-,root,root)\n%{{_bindir}}/{name}\n%{{_libdir}}/lib{name}.so.*\n"
        f"%files devel\n%{{_includedir}}/*\n%{{_libdir}}/pkgconfig/{name}.pc\n%files docs\n%{{_mandir}}/*\n"
        f"{_tail(version)}"
    )


def _kernel() -> str:
    return (
        f"{_head('kernel', '6.12.7', '3%{?dist}')}{LICENSE}Source2: scriptlets.inc\n"
        "Requires(pre): (coreutils or toybox)\n%description\nx\n"
        "%package devel\nSummary: x\nRequires: %{name} = %{version}-%{release}\n%description devel\nx\n"
        f"%include %{{SOURCE2}}\n%files\n%files devel\n{_tail('6.12.7')}"
    )


def _driver(version: str) -> str:
    return (
        "%define uname_r %{KERNEL_VERSION}-%{KERNEL_RELEASE}\n"
        f"{_head('kernel-drivers-net', version, '1%{?kernelsubrelease}%{?dist}')}{LICENSE}"
        "BuildRequires: kernel-devel = %{uname_r}\nRequires: kernel = %{uname_r}\n"
        f"%description\nx\n%post\n/sbin/depmod -a %{{uname_r}}\n%files\n{_tail(version)}"
    )


# Each for a reason of its own, in rpm's words: no licence, a file that is not there, no end of a condition.
REFUSED = {
    "refused-licence": f"{_head('refused-licence', '1')}%description\nx\n",
    "refused-include": f"{_head('refused-include', '1')}License: MIT\n%include nowhere.inc\n%description\nx\n",
    "refused-condition": f"{_head('refused-condition', '1')}License: MIT\n%if 1\n%description\nx\n",
}
SAID = {
    "refused-licence": "License field must be present",
    "refused-include": "nowhere.inc",
    "refused-condition": "Unclosed %if",
}

if __name__ == "__main__":
    written = write_tree(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else SPECS)
    click.echo(f"{written.count} specs, {len(written.refused)} of them refused, {len(written.left_out)} left out")
