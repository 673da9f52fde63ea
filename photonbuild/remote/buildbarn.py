"""Settings of Buildbarn's programs as values: of workers, and of the storage and scheduler of a small cluster.

Pure functions; Buildbarn reads JSON. Their meaning: https://github.com/buildbarn, pkg/proto/configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MESSAGE = 16 << 20  # bytes of one gRPC message
# Results that are replaced need one new block; more of them spread what is read often.
BLOBS, RESULTS = (
    {"oldBlocks": 4, "currentBlocks": 8, "newBlocks": 3},
    {"oldBlocks": 4, "currentBlocks": 8, "newBlocks": 1},
)
SPARE = 1
LONGEST = "43200s"  # that an action may take
ALLOW: Mapping[str, Any] = {"allow": {}}


def server(*listens: str, tls: Mapping[str, Any] | None = None, policy: Mapping[str, Any] = ALLOW) -> dict[str, Any]:
    """A server at these addresses or, where they begin with a slash, sockets."""
    settings: dict[str, Any] = {"authenticationPolicy": dict(policy), "maximumReceivedMessageSizeBytes": MESSAGE}
    addresses = [listen for listen in listens if not listen.startswith("/")]
    sockets = [listen for listen in listens if listen.startswith("/")]
    settings |= {"listenAddresses": addresses} if addresses else {}
    settings |= {"listenPaths": sockets} if sockets else {}
    return settings | ({"tls": dict(tls)} if tls else {})


def key_pair(certificate: Path, key: Path) -> dict[str, Any]:
    """Who a program is: its certificate, looked at again every hour."""
    files = {"certificatePath": str(certificate), "privateKeyPath": str(key), "refreshInterval": "3600s"}
    return {"files": files}


def client(
    address: str,
    *,
    authority: str | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    name: str | None = None,
) -> dict[str, Any]:
    """A connection; encrypted if there are certificates of an authority (PEM), which `name` is checked against."""
    settings: dict[str, Any] = {"address": address}
    if authority is not None:
        tls: dict[str, Any] = {"serverCertificateAuthorities": authority}
        if certificate is not None and key is not None:
            tls["clientKeyPair"] = key_pair(certificate, key)
        settings["tls"] = tls | ({"serverName": name} if name else {})
    return settings


def by_certificate(authority: str, names: Sequence[str]) -> dict[str, Any]:
    """Only clients with a certificate of this authority (PEM) for one of these DNS names get in."""
    allowed = " || ".join(f"contains(dnsNames, '{name}')" for name in names)
    return {
        "tlsClientCertificate": {
            "clientCertificateAuthorities": authority,
            "validationJmespathExpression": allowed or "`true`",
            "metadataExtractionJmespathExpression": "`{}`",
        }
    }


def by_token(keys: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Only clients with a JSON Web Token that one of these keys (RFC 7517) has signed, and which is valid, get in."""
    return {
        "jwt": {
            "jwksInline": {"keys": [dict(key) for key in keys]},
            "maximumCacheSize": 1000,
            "cacheReplacementPolicy": "LEAST_RECENTLY_USED",
            "claimsValidationJmespathExpression": "`true`",
            "metadataExtractionJmespathExpression": "`{}`",
        }
    }


def _local(folder: Path, size: int, blocks: Mapping[str, int]) -> dict[str, Any]:
    return {
        "local": {
            "keyLocationMapOnBlockDevice": {"file": {"path": str(folder / "keys"), "sizeBytes": 64 << 20}},
            "keyLocationMapMaximumGetAttempts": 16,
            "keyLocationMapMaximumPutAttempts": 64,
            **blocks,
            "blocksOnBlockDevice": {
                "source": {"file": {"path": str(folder / "blocks"), "sizeBytes": size}},
                "spareBlocks": SPARE,
            },
            "persistent": {"stateDirectoryPath": str(folder / "state"), "minimumEpochInterval": "5s"},
        }
    }


def storage_folders(folder: Path) -> list[Path]:
    """Folders that have to be there before the storage starts."""
    return [folder / kind / "state" for kind in ("cas", "ac")]


def storage(
    folder: Path, servers: Sequence[Mapping[str, Any]], *, scheduler: Mapping[str, Any] | None, size: int
) -> dict[str, Any]:
    """bb_storage, which all clients and workers talk to; without a scheduler it is a cache only. `size`: bytes."""
    writable = {"getAuthorizer": ALLOW, "putAuthorizer": ALLOW}
    own = {"backend": _local(folder / "cas", size, BLOBS), **writable, "findMissingAuthorizer": ALLOW}
    results = {
        "completenessChecking": {
            "backend": _local(folder / "ac", 64 << 20, RESULTS),
            "maximumTotalTreeSizeBytes": 64 << 20,
        }
    }
    return {
        "grpcServers": [dict(one) for one in servers],
        "maximumMessageSizeBytes": MESSAGE,
        "contentAddressableStorage": own,
        "actionCache": {"backend": results, **writable},
        **({"schedulers": {"": {"endpoint": dict(scheduler)}}} if scheduler else {}),
        "executeAuthorizer": ALLOW,
    }


def scheduler(
    clients: Mapping[str, Any], workers: Mapping[str, Any], *, storage: Mapping[str, Any], lost: str = "60s"
) -> dict[str, Any]:
    """bb_scheduler. `lost`: how long a worker may be silent until its build is given up."""
    return {
        "clientGrpcServers": [dict(clients)],
        "workerGrpcServers": [dict(workers)],
        "contentAddressableStorage": {"grpc": dict(storage)},
        "maximumMessageSizeBytes": MESSAGE,
        "executeAuthorizer": ALLOW,
        "modifyDrainsAuthorizer": ALLOW,
        "killOperationsAuthorizer": ALLOW,
        "actionRouter": {
            "simple": {
                "platformKeyExtractor": {"action": {}},
                "invocationKeyExtractors": [{"correlatedInvocationsId": {}}],
                "initialSizeClassAnalyzer": {
                    "defaultExecutionTimeout": "3600s",
                    "maximumExecutionTimeout": LONGEST,
                },
            }
        },
        "platformQueueWithNoWorkersTimeout": "900s",
    }


def worker(
    folder: Path,
    *,
    storage: Mapping[str, Any],
    scheduler: Mapping[str, Any],
    name: str,
    slots: int,
    platform: Mapping[str, str],
    files: int,
    cache: int,
) -> dict[str, Any]:
    """bb_worker, `slots` builds at once. `files`: bytes of inputs it keeps; `cache`: GiB of seeds and packages."""
    properties = [{"name": key, "value": value} for key, value in sorted(platform.items())]
    runner = {
        "endpoint": {"address": f"unix://{folder / 'runner.sock'}"},
        "concurrency": slots,
        "platform": {"properties": properties} if properties else {},
        "workerId": {"name": name},
        "environmentVariables": {
            "PB_CACHE": str(folder / "cache"),
            "PB_CACHE_GIB": str(cache),
            "PB_SLOTS": str(slots),
        },
    }
    directory = {
        "buildDirectoryPath": str(folder / "build"),
        "cacheDirectoryPath": str(folder / "files"),
        "maximumCacheFileCount": 100_000,
        "maximumCacheSizeBytes": files,
        "cacheReplacementPolicy": "LEAST_RECENTLY_USED",
    }
    blobs = {"grpc": dict(storage)}
    return {
        "blobstore": {
            "contentAddressableStorage": blobs,
            "actionCache": {"completenessChecking": {"backend": blobs, "maximumTotalTreeSizeBytes": 64 << 20}},
        },
        "maximumMessageSizeBytes": MESSAGE,
        "scheduler": dict(scheduler),
        "buildDirectories": [{"native": directory, "runners": [runner]}],
        "filePool": {"blockDevice": {"file": {"path": str(folder / "pool"), "sizeBytes": 16 << 20}}},
        "inputDownloadConcurrency": 8,
        "outputUploadConcurrency": 8,
        "directoryCache": {
            "maximumCount": 1_000,
            "maximumSizeBytes": 1 << 20,
            "cacheReplacementPolicy": "LEAST_RECENTLY_USED",
        },
    }


def worker_folders(folder: Path) -> list[Path]:
    """Folders that have to be there before a worker starts."""
    return [folder / name for name in ("build", "files", "cache")]


def runner(folder: Path) -> dict[str, Any]:
    """bb_runner, which starts the builds. It isolates nothing: our own sandbox, in every build, does."""
    return {
        "buildDirectoryPath": str(folder / "build"),
        "grpcServers": [server(str(folder / "runner.sock"))],
        "chrootIntoInputRoot": False,
    }
