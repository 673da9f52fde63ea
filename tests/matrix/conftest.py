"""What the matrix shares with the boot tests: the configuration, the store, the seeds, the ISO, where to install."""

from __future__ import annotations

from ..boot.conftest import configuration, iso, machine_seed, store  # noqa: F401
from ..installs import installs  # noqa: F401
