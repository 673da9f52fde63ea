"""MinIO, an S3-compatible server, on this machine's loopback until a block ends."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from photonbuild.machines.ssh import free_port
from photonbuild.pipeline.session import Session
from tests.support.native import MINIO, go_program
from tests.support.serving import wait_for_port

USER, PASSWORD = "tester", "tester-secret"


@contextlib.contextmanager
def bucket(session: Session, folder: Path) -> Iterator[str]:
    """The address of an empty bucket, kept in `folder`. The environment says where it is and who may use it."""
    import botocore.session
    from botocore.exceptions import BotoCoreError, ClientError

    port = free_port()
    env = {
        "AWS_ACCESS_KEY_ID": USER,
        "AWS_SECRET_ACCESS_KEY": PASSWORD,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    server = {"MINIO_ROOT_USER": USER, "MINIO_ROOT_PASSWORD": PASSWORD, "HOME": str(folder), "PATH": ""}
    program = go_program(session, MINIO) / "minio"
    argv = [str(program), "server", "--quiet", "--address", f"127.0.0.1:{port}", str(folder / "data")]
    with (
        pytest.MonkeyPatch.context() as patch,
        (folder / "log").open("wb") as log,
        subprocess.Popen(argv, env=server, stdout=log, stderr=log) as process,
    ):
        for name, value in env.items():
            patch.setenv(name, value)
        try:
            wait_for_port(port)
            client = botocore.session.get_session().create_client("s3")
            for _ in range(50):
                # It listens before it is ready.
                with contextlib.suppress(BotoCoreError, ClientError):
                    client.create_bucket(Bucket="bucket")
                    break
                time.sleep(0.2)
            yield "s3://bucket"
        finally:
            process.kill()
