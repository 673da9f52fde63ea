"""The ssh configuration for a test machine."""

from __future__ import annotations

from pathlib import Path

from photonbuild.machines.ssh import ssh_config


def test_ssh_config_trusts_only_the_one_time_key() -> None:
    text = ssh_config(Path("/f"), 1022, Path("/f/key"))
    assert "Port 1022" in text and "IdentityFile /f/key" in text and "IdentitiesOnly yes" in text
