"""What tests of container runtimes need in a machine: a root of one static program, and a list of what is there.

Everything is done over ssh with the machine's own tools; nothing is copied in but the program.
"""

from __future__ import annotations

import json
import shlex
import time
from collections import Counter
from pathlib import Path

from photonbuild.run import Completed, run

BOX = "/root/box"
ROOTFS = f"{BOX}/rootfs"
ACI = f"{BOX}/box.aci"
APPLETS = """
    cat chmod cp date dd df du echo env false grep hostname httpd id ip kill ln ls mkdir mkfifo mount mv nc nproc
    nslookup ping printf ps pwd rm sed sh sleep sort stat stty sync tail tee test touch tr true tty umount uname wc wget
    whoami yes
"""
USER, UID = "app", 1000

# Directories of control groups of login sessions come and go with ssh; kernel threads are children of process 2.
TRACES = r"""
ip -o link show | awk -F': ' '{print "link " $2}'
ip netns list 2>/dev/null | awk '{print "network namespace " $1}'
findmnt -rno TARGET,FSTYPE | sed 's/^/mount /'
losetup -nO NAME,BACK-FILE | sed 's/^/loop /'
for family in iptables ip6tables; do
    $family-save 2>/dev/null | grep -E '^(-A|:[^ ]+ - )' | sed -E "s/ \[[0-9:]+\]//; s/^/$family /"
done
find /sys/fs/cgroup -mindepth 1 -type d -not -path '*/user.slice/*' | sed 's/^/cgroup /'
ps -eo pid=,ppid=,args= | awk '$1 != 2 && $2 != 2 {$1 = ""; $2 = ""; print "process" $0}' |
    grep -vE '(sshd|ps -eo|awk|grep|bash -c|/usr/lib/systemd/systemd-)' || true
"""


def ssh(config: str | Path, command: str, *, input: bytes | None = None, timeout: float = 120) -> Completed:
    """Run a shell command as root in the machine; raises PhotonbuildError when it fails."""
    return run(["ssh", "-F", config, "machine", command], input=input, timeout=timeout)


def box_script() -> str:
    """Shell commands that make `ROOTFS` in the machine, the program read from standard input. Pure."""
    return rf"""
        set -e
        rm -rf {BOX} && mkdir -p {ROOTFS} && cd {ROOTFS}
        mkdir -p bin etc home/{USER} proc root sys tmp var www && chmod 1777 tmp
        cat > bin/busybox && chmod 755 bin/busybox
        for name in {" ".join(APPLETS.split())}; do ln -s busybox bin/$name; done
        printf 'root:x:0:0:root:/root:/bin/sh\n{USER}:x:{UID}:{UID}::/home/{USER}:/bin/sh\n' > etc/passwd
        printf 'root:x:0:\n{USER}:x:{UID}:\n' > etc/group
        chown {UID}:{UID} home/{USER}
    """


def put_box(config: str | Path, busybox: Path) -> str:
    """Make `ROOTFS` in the machine of a static busybox; returns its path."""
    ssh(config, box_script(), input=busybox.read_bytes())
    return ROOTFS


def aci_manifest(name: str = "local/box") -> str:
    """Image manifest of `ROOTFS` as an App Container Image that declares port ``www``. Pure.

    https://github.com/appc/spec/blob/v0.8.11/spec/aci.md#image-manifest-schema
    """
    manifest = {
        "acKind": "ImageManifest",
        "acVersion": "0.8.11",
        "name": name,
        "labels": [{"name": "os", "value": "linux"}, {"name": "arch", "value": "amd64"}],
        "app": {
            "exec": ["/bin/sh"],
            "user": "0",
            "group": "0",
            "ports": [{"name": "www", "protocol": "tcp", "port": 80}],
        },
    }
    return json.dumps(manifest)


def put_aci(config: str | Path) -> str:
    """Pack `ROOTFS` as an App Container Image in the machine; returns the file's path."""
    ssh(config, f"cd {BOX} && printf %s {shlex.quote(aci_manifest())} > manifest && tar -cf {ACI} manifest rootfs")
    return ACI


def traces(config: str | Path) -> Counter[str]:
    """Links, mounts, loop devices, packet filter rules, control groups and processes of the machine, each as a line."""
    return Counter(ssh(config, TRACES).stdout.splitlines())


def left_behind(config: str | Path, before: Counter[str], seconds: float = 20) -> list[str]:
    """What is there now and was not `before`; waits for it to go away."""
    deadline = time.monotonic() + seconds
    while True:
        more = sorted((traces(config) - before).elements())
        if not more or time.monotonic() > deadline:
            return more
        time.sleep(1)
