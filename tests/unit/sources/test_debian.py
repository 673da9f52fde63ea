"""Debian's indexes of source packages, as recorded: what is listed, in which order, and under which names."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.sources.debian import SourcePackage, newest_first, parse, plain, upstream_part

INDEX = (Path(__file__).parents[2] / "data" / "debian" / "Sources").read_text(encoding="utf-8")


def of(name: str) -> list[SourcePackage]:
    return newest_first(package for package in parse(INDEX) if package.name == name)


def test_versions_come_newest_first_as_dpkg_compares_them() -> None:
    assert [package.version for package in of("curl")] == [
        "8.21.0-2~bpo13+1",
        "8.20.0-5~bpo13+1",
        "8.14.1-2+deb13u7",
        "8.14.1-2+deb13u5",
    ]
    # A version that is in two archives is there once, from the one of the security updates.
    versions = [package.version for package in of("zlib")]
    assert versions == ["1:1.3.dfsg+really1.3.1-1+deb13u1", "1:1.3.dfsg+really1.3.1-1"]
    assert all(str(package.changes).startswith("pool/updates/main/z/zlib/") for package in of("zlib"))


def test_files_are_told_apart() -> None:
    curl = of("curl")[0]
    assert curl.original == "pool/main/c/curl/curl_8.21.0.orig.tar.gz"
    assert curl.changes == "pool/main/c/curl/curl_8.21.0-2~bpo13+1.debian.tar.xz"
    assert str(of("pcre2")[0].changes).endswith("pcre2_10.46-1~deb13u3.diff.gz")
    native = of("ca-certificates")[0]
    assert str(native.original).endswith("/ca-certificates_20250419+deb13u1.tar.xz")
    assert native.changes is None


@pytest.mark.parametrize(
    ("version", "upstream", "ours"),
    [
        ("1:1.3.dfsg+really1.3.1-1+deb13u1", "1.3.dfsg+really1.3.1", "1.3.1"),
        ("4.20.1+dfsg-3", "4.20.1+dfsg", "4.20.1"),
        ("1.3.6+ds-1", "1.3.6+ds", "1.3.6"),
        ("20250419+deb13u1", "20250419+deb13u1", "20250419+deb13u1"),
        ("6.5+20250216-2", "6.5+20250216", "6.5+20250216"),
        ("10.0p1-7+deb13u4", "10.0p1", "10.0p1"),
    ],
)
def test_the_upstream_part_of_a_version(version: str, upstream: str, ours: str) -> None:
    assert upstream_part(version) == upstream
    assert plain(upstream) == ours


def test_what_is_no_whole_stanza_or_leads_elsewhere_is_left_out() -> None:
    digest = "0" * 64
    assert parse("Package: a\nVersion: 1\n\n\n garbage\n") == []
    for folder in ("pool/../../etc", "/etc", "http://x.example/pool"):
        assert parse(f"Package: a\nVersion: 1\nDirectory: {folder}\nChecksums-Sha256:\n {digest} 1 a_1.tar.xz\n") == []
    assert parse(f"Package: a\nVersion: 1\nDirectory: pool/x\nChecksums-Sha256:\n {digest} 1 ../a_1.tar.xz\n") == []
