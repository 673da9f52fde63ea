"""photonbuild: from RPM specs to a booted, tested container-host image."""

__version__ = "0.1.0"
