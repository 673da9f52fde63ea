"""What the host tells a machine."""

from __future__ import annotations

from pico.guest.messages import Setup, Volume


def test_setup_as_records() -> None:
    setup = Setup(
        entropy=b"\x01" * 32,
        hostname="box",
        machine_id="ab" * 16,
        clock=7,
        mac="52:54:00:00:00:01",
        network="static",
        address="10.0.2.15/24",
        gateway="10.0.2.2",
        dns=["10.0.2.3", "10.0.2.4"],
        volumes=[
            Volume(tag="volume0", target="/a:b", readonly=True),
            Volume(tag="volume1", target="/c", part="file"),
        ],
        tmpfs=["/scratch:size=1m"],
    )
    assert setup.pairs() == [
        ("entropy", "01" * 32),
        ("clock", "7"),
        ("hostname", "box"),
        ("machine-id", "ab" * 16),
        ("network", "static"),
        ("mac", "52:54:00:00:00:01"),
        ("address", "10.0.2.15/24"),
        ("gateway", "10.0.2.2"),
        ("dns", "10.0.2.3"),
        ("dns", "10.0.2.4"),
        ("root", "/dev/vda"),
        ("rootfs", "erofs"),
        ("volume", "volume0:/a:b:ro"),
        ("volume", "volume1/file:/c:rw"),
        ("tmpfs", "/scratch:size=1m"),
        ("readonly", "no"),
    ]
