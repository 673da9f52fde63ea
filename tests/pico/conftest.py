"""The store, the seeds and the ISO, as the boot tests have them."""

from __future__ import annotations

from ..boot.conftest import configuration, iso, machine_seed, store  # noqa: F401
