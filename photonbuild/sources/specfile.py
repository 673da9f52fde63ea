"""The text of a spec: the one that is built, with its changelog and its rebuild counter, and edits of the one written.

The changelog of a package is ``specs/NAME/changelog``, in the form that %changelog has; the counter is in
``build/rebuilds.yaml``. A package that has neither is built from its spec as it lies there, so that its key does not
change with those of others.
"""

from __future__ import annotations

import re
from pathlib import Path

from photonbuild.errors import SpecError

CHANGELOG = "changelog"
ENTRY = re.compile(
    r"^\* (Mon|Tue|Wed|Thu|Fri|Sat|Sun) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d\d \d{4} \S.* - \S+$"
)


def built_text(folder: Path, rebuild: int, *, where: str = "") -> str | None:
    """The spec of ``specs/NAME`` as it is built, or None where that is the file itself. Raises SpecError.

    `where`: the folder in messages.
    """
    changelog = folder / CHANGELOG
    spec = folder / f"{folder.name}.spec"
    if not (rebuild or changelog.is_file()) or not spec.is_file():
        return None
    where = where or f"specs/{folder.name}"
    text = read_text(spec, f"{where}/{spec.name}")
    if rebuild:
        # At the end of what is written there, behind %%dist: newer than the release, older than the next one.
        text = replace_tag(text, "Release", f"{tag(text, 'Release', folder.name)}.{rebuild}", folder.name)
    if changelog.is_file():
        if re.search(r"^%changelog\b", text, re.MULTILINE):
            raise SpecError("%changelog is in the spec and in a file beside it", where=f"{where}/{spec.name}")
        lines = read_text(changelog, f"{where}/{CHANGELOG}")
        check_changelog(lines, f"{where}/{CHANGELOG}")
        # Macros in it would be expanded, even in a comment.
        text = f"{text.rstrip()}\n\n%changelog\n{lines.replace('%', '%%')}"
    return text


def read_text(path: Path, where: str) -> str:
    """Raises SpecError with the line of what is no UTF-8."""
    data = path.read_bytes()
    try:
        return data.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SpecError("this is no UTF-8", where=f"{where}:{line}", hint="iconv -f latin1 -t utf-8") from None


def check_changelog(text: str, where: str) -> None:
    """Raises SpecError with the line of what rpm would misread: an entry's first line, or text before any."""
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if line.startswith("*") and not ENTRY.match(line):
            raise SpecError(
                "no first line of an entry", where=f"{where}:{number}", hint="* Fri Nov 20 2026 Name <address> - 1.0-1"
            )
    if not lines or not lines[0].startswith("*"):
        raise SpecError("the changelog does not start with an entry", where=f"{where}:1")


def with_entry(changelog: str, entry: str) -> str:
    """The changelog with a new entry on top."""
    return f"{entry.rstrip()}\n" + (f"\n{changelog.lstrip()}" if changelog.strip() else "")


def tag(text: str, name: str, spec: str) -> str:
    """The value of a tag of the source package, as written. Raises SpecError."""
    return _tag(text, name, spec)[2]


def replace_tag(text: str, name: str, value: str, spec: str) -> str:
    """The spec with another value of this tag, and nothing else changed."""
    match = _tag(text, name, spec)
    return text[: match.start(2)] + value + text[match.end(2) :]


def _tag(text: str, name: str, spec: str) -> re.Match[str]:
    # Before the first section: a sub-package may have tags of its own.
    head = re.split(r"^%(?:description|package|prep)\b", text, maxsplit=1, flags=re.MULTILINE)[0]
    found = list(re.finditer(rf"^({name}:[ \t]*)(\S.*?)[ \t]*$", head, re.MULTILINE | re.IGNORECASE))
    if len(found) != 1:
        raise SpecError(
            f"{len(found) or 'no'} lines '{name}:' at the top of the spec", where=f"specs/{spec}/{spec}.spec"
        )
    return found[0]
