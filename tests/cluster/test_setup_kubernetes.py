"""The manifest that `photonbuild worker setup` writes, judged by the code of Kubernetes' API server."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.pipeline.session import Session
from photonbuild.remote.setup import Worker, files
from tests.support.native import by_kubernetes

SMALL = Worker(storage="engine:8980", scheduler="engine:8983", name="pod")
LARGE = Worker(
    storage="engine.example.org:8980",
    scheduler="engine.example.org:8983",
    name='p"od',
    folder=Path("/srv/worker"),
    slots=8,
    cache_gib=500,
    files_gib=100,
    platform={"pool": "large"},
    authority="-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n",
    certificate=Path("/run/keys/worker.pem"),
    key=Path("/run/keys/worker.key"),
    image="registry.example.org:5000/team/worker@sha256:" + "0" * 64,
)
# What the level "baseline" of the Pod Security Standards has against the pods, as docs/use/remote.md says.
PRIVILEGED = ("SYS_ADMIN", "AppArmor", "seccompProfile")


@pytest.mark.parametrize("worker", [SMALL, LARGE], ids=["small", "large"])
def test_a_cluster_takes_it(session: Session, worker: Worker) -> None:
    settings, deployment = by_kubernetes(session, files(worker)["kubernetes.yaml"])
    assert (settings["Kind"], deployment["Kind"]) == ("ConfigMap", "Deployment")
    for verdict in (settings, deployment):
        assert verdict["Name"] == "photonbuild-worker"
        assert not verdict["Errors"] and not verdict["Warnings"], verdict
    assert all(word in deployment["Baseline"] for word in PRIVILEGED), deployment["Baseline"]


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("procMount:", "procMounts:", 'unknown field "spec.template.spec.containers[1].securityContext.procMounts"'),
        ("replicas: 3", "replicas: three", "cannot unmarshal string"),
        ("replicas: 3", "replicas: 3\n  replicas: 3", 'key "replicas" already set'),
        ("hostUsers: false", "hostUsers: true", "`hostUsers` must be false"),
        ("sizeLimit: 90Gi", "sizeLimit: 90 GiB", "quantities must match"),
        (
            "name: work\n          mountPath",
            "name: works\n          mountPath",
            'volumeMounts[0].name: Not found: "works"',
        ),
        ("matchLabels:\n      app:", "matchLabels:\n      apps:", "`selector` does not match template `labels`"),
        ("type: Unconfined", "type: None", 'seccompProfile.type: Unsupported value: "None"'),
    ],
)
def test_mistakes_are_found(session: Session, right: str, wrong: str, said: str) -> None:
    text = files(SMALL)["kubernetes.yaml"]
    assert right in text
    settings, deployment = by_kubernetes(session, text.replace(right, wrong))
    assert not settings["Errors"] and said in "\n".join(deployment["Errors"]), deployment
