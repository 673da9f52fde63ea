"""A site of one's own: an image that has something of everything that images can be told, and the files it names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from photonbuild.installer.passwords import sha512_crypt
from photonbuild.run import run
from tests.support.oci_images import busybox_root, configuration, file, layer, oci_layout, packed

PASSWORD = "correct horse"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2yCkz6Nf2TJ2bJY2N0bHl5wq0Zg1cR1vG8s3Zp5QxL a-key"
SCRIPT = """#!/bin/bash
set -eu
mkdir -p /usr/share/site
{ cat /etc/hostname; id -u; echo "$SOURCE_DATE_EPOCH"; } > /usr/share/site/built
! (exec 3<>/dev/tcp/192.0.2.1/80) 2> /dev/null
"""
RULES = """*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:SITE - [0:0]
-A INPUT -j SITE
-A SITE -p tcp --dport 4242 -j DROP
COMMIT
"""
SETTINGS = {
    "hostname": "site-1.example.org",
    "locale": "C.UTF-8",
    "timezone": "Europe/Berlin",
    "groups": [{"name": "site", "gid": 1500}],
    "users": [
        {"name": "ops", "groups": ["wheel", "site"], "authorized_keys": [KEY], "comment": "Operations"},
        {"name": "batch", "uid": 1600, "group": "site", "home": "/srv/batch", "shell": "/usr/sbin/nologin"},
    ],
    "trees": [
        {"source": "site/tree", "permissions": {"/srv/data/*": {"owner": "batch", "group": "site", "mode": 2750}}},
    ],
    "files": [
        {"path": "/usr/bin/site-tool", "source": "site/tool", "mode": "0755"},
        {"path": "/etc/site.conf", "text": "one line\n", "mode": "0640", "group": "site"},
    ],
    "remove": ["/usr/share/licenses/bash*"],
    "services": {"systemd-timesyncd.service": "disabled", "gdn.service": "masked"},
    "sysctl": {"vm.swappiness": 7, "net.ipv4.conf.all.log_martians": 1},
    "modules": {"load": ["nbd"], "deny": ["nfs"], "options": {"nbd": "nbds_max=3"}},
    "network_files": [{"name": "20-dummy.netdev", "text": "[NetDev]\nName=site0\nKind=bridge\n"}],
    "firewall": {"ipv4": {"text": RULES}, "ipv6": {"source": "site/rules6"}},
    "certificates": ["site/authority.pem"],
    "first_boot": [
        {"name": "site-once", "text": "#!/bin/sh\necho once >> /var/lib/site-once\n", "after": ["docker.service"]}
    ],
    "scripts": ["site/build.sh"],
    "containers": [{"archive": "site/one.oci.tar", "name": "example.org/site/one:1"}, {"archive": "site/two.oci.tar"}],
}  # fmt: skip
USER_DATA = f"""#cloud-config
write_files:
  - path: /etc/site-cloud
    content: by cloud-init
    permissions: '0600'
ssh_authorized_keys:
  - {KEY}
"""


def write_site(build: Path, program: Path) -> Path:
    """The files that SETTINGS name, in ``build/site``; `program` is a static busybox. The folder."""
    site = build / "site"
    tree = site / "tree"
    for folder in ("etc/profile.d", "srv/data", "usr/share/site"):
        (tree / folder).mkdir(parents=True)
    (tree / "etc/profile.d/site.sh").write_text("export SITE=1\n", encoding="utf-8")
    (tree / "srv/data/page").write_text("hello\n", encoding="utf-8")
    (tree / "usr/share/site/link").symlink_to("/srv/data/page")
    (tree / "usr/share/site/binary").write_bytes(bytes(range(256)))
    (site / "tool").write_bytes(program.read_bytes())
    (site / "rules6").write_text(RULES, encoding="utf-8")
    (site / "build.sh").write_text(SCRIPT, encoding="utf-8")
    argv = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650",
        "-subj", "/CN=Site authority", "-keyout", str(site / "authority.key"), "-out", str(site / "authority.pem"),
    ]  # fmt: skip
    run(argv)
    shared = layer(busybox_root(program.read_bytes(), ["sh", "cat", "echo"]))
    for name in ("one", "two"):
        layers = [shared, layer([file(f"{name}.txt", f"this is {name}\n".encode())])]
        config = configuration(layers, Cmd=["/bin/cat", f"/{name}.txt"])
        oci_layout(site / name, layers, config, name=f"site/{name}:1")
        packed(site / name, site / f"{name}.oci.tar")
    return site


def settings(*, password: bool = True, without: Sequence[str] = ()) -> dict[str, object]:
    """SETTINGS without some of the keys; the first user has the password PASSWORD."""
    copied = json.loads(json.dumps({key: value for key, value in SETTINGS.items() if key not in without}))
    if password:
        copied["users"][0]["password"] = sha512_crypt(PASSWORD, "salt")
    return dict(copied)
