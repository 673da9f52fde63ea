"""Pulling from a registry: skopeo(1) of the machine seed, in a sandbox that has the network and little else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pico.builder import Builder
from pico.errors import PicoError
from pico.oci.config import ARCHITECTURE, SYSTEM

AUTH = "/run/auth.json"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
TIMEOUT = 3600


def skopeo_argv(name: str, layout: str, *, auth: bool, verify_tls: bool) -> list[str]:
    """The command line inside the sandbox. Pure. Blobs that are there already are not fetched again."""
    argv = ["skopeo", "--override-os", SYSTEM, "--override-arch", ARCHITECTURE, "copy", "--quiet", "--retry-times", "2"]
    argv += ["--src-authfile", AUTH] if auth else ["--src-no-creds"]
    if not verify_tls:
        argv.append("--src-tls-verify=false")
    return [*argv, "--dest-shared-blob-dir", "/blobs", f"docker://{name}", f"oci:/blobs/{layout}:image"]


def auth_file() -> Path | None:
    """Where other tools keep the logins of registries: see containers-auth.json(5)."""
    runtime, home = os.environ.get("XDG_RUNTIME_DIR"), Path.home()
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    named = os.environ.get("REGISTRY_AUTH_FILE")
    candidates = [
        *([Path(named)] if named else []),
        *([Path(runtime) / "containers/auth.json"] if runtime else []),
        config / "containers/auth.json",
        Path(os.environ.get("DOCKER_CONFIG") or home / ".docker") / "config.json",
    ]
    return next((path for path in candidates if path.is_file()), None)


def pull(root: Path, name: str, builder: Builder, work: Path, *, verify_tls: bool) -> tuple[Path, Path]:
    """Fetch an image; its layout and the folder of its blobs. Raises PicoError with what skopeo said."""
    if builder.offline:
        raise PicoError(f"there is no image '{name}' here", hint="run without --offline")
    blobs = root / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    auth = auth_file()
    given = {AUTH: auth, CERTIFICATES: builder.certificates()}
    box = builder.sandbox(
        "machine",
        # One mount for both: skopeo renames what it has fetched from the layout to the blobs.
        writable={"/blobs": blobs},
        readonly={target: source for target, source in given.items() if source is not None},
        env={name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")},
        network=True,
    )
    layout = blobs / f"layout-{os.urandom(6).hex()}"
    argv = skopeo_argv(name, layout.name, auth=auth is not None, verify_tls=verify_tls)
    try:
        done = box.run(argv, timeout=TIMEOUT, check=False)
        if layout.is_dir():
            shutil.copytree(layout, work / "layout")
    finally:
        shutil.rmtree(layout, ignore_errors=True)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        reason = said[-1] if said else f"exit code {done.returncode}"
        raise PicoError(
            f"cannot pull {name}", detail=reason.partition("msg=")[2].strip('"') or reason, hint=_hint(reason)
        )
    return work / "layout", blobs


def _hint(reason: str) -> str | None:
    if any(sign in reason for sign in ("HTTP response to HTTPS client", "certificate", "TLS handshake")):
        return "--tls-verify=false, if this registry is trusted without"
    if "unauthorized" in reason or "authentication required" in reason:
        return "log in first: its credentials are read from ~/.docker/config.json or $REGISTRY_AUTH_FILE"
    return None
