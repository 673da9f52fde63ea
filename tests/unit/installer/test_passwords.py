"""Crypted passwords and /etc/shadow."""

from __future__ import annotations

import pytest

from photonbuild.installer.passwords import sha512_crypt, shadow
from tests.support.installer import HASH


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        # As openssl passwd -6 has them.
        (
            "Hello world!",
            "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
        ),
        (
            "ü" * 40,
            "$6$0123456789abcdef$Xi2DL0p7G/eMFBT.gUz0E248Oo3rGj88KaGVq2QhaoqKSJvXjE"
            "b5fj4i7.77oHhHcwReCd2HoHbjFSA9TI0Dx1",
        ),
    ],
)
def test_crypted(password: str, expected: str) -> None:
    assert sha512_crypt(password, expected.split("$")[2]) == expected


def test_crypted_has_a_salt_of_its_own() -> None:
    assert sha512_crypt("a") != sha512_crypt("a")


@pytest.mark.parametrize(
    ("password", "age", "expected"),
    [
        (HASH, None, f"root:{HASH}:20000::::::"),
        (HASH, 30, f"root:{HASH}:20000::30::::"),
        (HASH, 0, f"root:{HASH}:0::::::"),
        (HASH, -1, f"root:{HASH}:20000::99999::::"),
        (None, 30, "root:!*:::::::"),
        (None, 0, "root:!*:::::::"),
    ],
)
def test_shadow(password: str | None, age: int | None, expected: str) -> None:
    text = "root:!*:::::::\nbin:!*:::::::\n"
    assert shadow(text, password=password, age=age, today=20000) == f"{expected}\nbin:!*:::::::\n"
