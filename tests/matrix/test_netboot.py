"""What stops a machine that starts from the network, and what it says: nothing unchecked is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.store import Store
from tests.support.netboots import netbooted, plain
from tests.support.published import image_of

pytestmark = pytest.mark.matrix
TIMEOUT = 600


@pytest.mark.parametrize(
    ("memory", "args", "said"),
    [
        (2048, "live.sha256=" + "0" * 64, r"is not what it should be: its SHA-256 is [0-9a-f]{64}, not 0{64}"),
        (384, "", r"does not fit into memory: it has \d+ MiB, \d+ MiB are left for it of the machine's \d+ MiB"),
        (2048, "root=live:http://10.0.2.2:1/x.erofs", r"x\.erofs cannot be fetched"),
        (2048, "ip=192.0.2.9::192.0.2.1:255.255.255.0::none root=live:http://192.0.2.1/x", r"/x cannot be fetched"),
    ],
)
def test_what_is_refused(
    memory: int, args: str, said: str, configuration: Config, store: Store, machine_seed: Path
) -> None:
    script = image_of(configuration, "netboot")
    hardware = plain(store, machine_seed, memory=memory)
    settings = {"entry": "live", "args": args}
    with netbooted(hardware, script, store, machine_seed, settings=settings) as (_, terminal, _):
        terminal.wait_for(said, timeout=TIMEOUT)
