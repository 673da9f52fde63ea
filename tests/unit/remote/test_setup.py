"""What `photonbuild worker setup` writes; that Buildbarn takes it, tests/cluster/test_setup.py says."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from click.testing import CliRunner

from photonbuild.cli.worker import worker_group
from photonbuild.remote.setup import Worker, files

WORKER = Worker(storage="engine:8980", scheduler="engine:8983", name="ada", platform={"pool": "large"}, slots=2)


def test_a_worker_is_an_ordinary_user_with_bounds() -> None:
    found = files(WORKER)
    (directory,) = json.loads(found["worker.json"])["buildDirectories"]
    (runner,) = directory["runners"]
    assert directory["native"]["maximumCacheSizeBytes"] == 10 << 30 and runner["concurrency"] == 2
    assert runner["environmentVariables"] == {
        "PB_CACHE": "/var/lib/photonbuild-worker/cache",
        "PB_CACHE_GIB": "40",
        "PB_SLOTS": "2",
    }
    assert runner["platform"] == {"properties": [{"name": "pool", "value": "large"}]}
    for unit in ("photonbuild-worker.service", "photonbuild-runner.service"):
        assert "User=photonbuild-worker\n" in found[unit]
    assert "--add-subids-for-system" in found["install.sh"]


def test_pods_have_names_of_their_own() -> None:
    settings, deployment = yaml.safe_load_all(files(WORKER)["kubernetes.yaml"])
    assert '"name": std.extVar("POD")' in settings["data"]["worker.jsonnet"]
    worker, runner = deployment["spec"]["template"]["spec"]["containers"]
    assert worker["env"][0]["name"] == "POD" and runner["securityContext"]["procMount"] == "Unmasked"


def test_keys_are_named_and_not_copied(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("AUTHORITY\n", encoding="ascii")
    argv = ["setup", str(tmp_path / "out"), "--authority", str(tmp_path / "ca.pem")]
    done = CliRunner().invoke(worker_group, [*argv, "--certificate", "/etc/c.pem", "--key", "/etc/k.pem"])
    assert done.exit_code == 0, done.output
    scheduler = json.loads((tmp_path / "out" / "worker.json").read_text(encoding="utf-8"))["scheduler"]
    assert scheduler["tls"]["serverCertificateAuthorities"] == "AUTHORITY\n"
    assert scheduler["tls"]["clientKeyPair"]["files"]["privateKeyPath"] == "/etc/k.pem"
    assert (tmp_path / "out" / "install.sh").stat().st_mode & 0o100
