"""The forms of sources."""

from __future__ import annotations

import pytest

from photonbuild.installer.errors import KickstartError
from photonbuild.installer.fetch.source import parse_source


@pytest.mark.parametrize(
    ("text", "scheme", "path"),
    [
        ("cdrom:/isolinux/ks.cfg", "cdrom", "/isolinux/ks.cfg"),
        ("file:///tmp/ks", "file", "/tmp/ks"),
        ("LABEL=KS:/a/./b", "label", "/a/b"),
        ("https://h/ks", "https", ""),
    ],
)
def test_sources(text: str, scheme: str, path: str) -> None:
    found = parse_source(text)
    assert (found.scheme, found.path) == (scheme, path)


@pytest.mark.parametrize("text", ["ks.cfg", "cdrom:ks", "ftp://h/k", "https:///k", "LABEL=:/k", "file:/a/../../b"])
def test_sources_of_no_known_form(text: str) -> None:
    with pytest.raises(KickstartError):
        parse_source(text)


@pytest.mark.parametrize(
    ("base", "text", "expected"),
    [
        ("https://h/a/ks.yaml", "b/c d", "https://h/a/b/c%20d"),
        ("cdrom:/a/ks.yaml", "b", "cdrom:/a/b"),
        ("LABEL=KS:/ks.yaml", "b", "LABEL=KS:/b"),
        ("file:/a/ks.yaml", "/b", "file:/b"),
        ("cdrom:/ks.yaml", "https://h/x", "https://h/x"),
    ],
)
def test_sources_beside_the_kickstart(base: str, text: str, expected: str) -> None:
    assert parse_source(text, base=parse_source(base)).text == expected


@pytest.mark.parametrize(
    "text",
    [
        "https://user:s3cr3t@/ks", "https://user:s3cr3t@h:port/ks?s3cr3t", "https://[h/ks?s3cr3t", "https://h/ä?s3cr3t",
        "https://h/a b?s3cr3t", "https://h/a\n?s3cr3t", "https://h:0/?s3cr3t", "https://h:99999/?s3cr3t",
    ],
)  # fmt: skip
def test_urls_that_cannot_be_asked_for(text: str) -> None:
    with pytest.raises(KickstartError, match="this is no URL that can be asked for") as caught:
        parse_source(text)
    assert "s3cr3t" not in str(caught.value)
