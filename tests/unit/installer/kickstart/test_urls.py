"""What URLs may hold that nobody else is to see."""

from __future__ import annotations

import pytest

from photonbuild.errors import ConfigError
from photonbuild.installer.kickstart.urls import redacted
from tests.support.installer import kickstart

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"https://h/a?token={SECRET}", "https://h/a"),
        (f"https://u:{SECRET}@h:8443/a", "https://h:8443/a"),
        (f"https://u:p@{SECRET}@h/a b", "https://h/a b"),
        (f"from HTTPS://h/a#{SECRET}: no", "from HTTPS://h/a no"),
        (f"'http://{SECRET}@h' and https://h/b?{SECRET}'", "'http://h' and https://h/b"),
        ("https://h/a@2/b", "https://h/a@2/b"),
        ("mailto:a@b?c", "mailto:a@b?c"),
    ],
)
def test_redacted(text: str, expected: str) -> None:
    assert redacted(text) == expected


@pytest.mark.parametrize(
    "data",
    [
        {"additional_files": [{f"https://h/f?token={SECRET}": "relative"}]},
        {"repos": {"own": {"baseurl": f"https://u:{SECRET}@h/$base"}}},
        {"hostname": f"https://u:{SECRET}@h/"},
    ],
)
def test_mistakes_beside_a_url(data: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        kickstart(**data)
    assert SECRET not in f"{caught.value} {caught.value.detail}"
