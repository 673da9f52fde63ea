"""``build/pico.yaml``."""

from __future__ import annotations

from pathlib import Path

from photonbuild.config.validation import load
from pico.cli import options
from pico.settings import PicoSettings

ROOT = Path(__file__).resolve().parents[3]


def test_settings_of_the_checkout() -> None:
    settings = load(ROOT / "build/pico.yaml", PicoSettings)
    assert settings.disk % (1 << 30) == 0
    assert settings.memory >> 20 >= options.LEAST_MEMORY
