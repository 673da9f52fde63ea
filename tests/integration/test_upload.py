"""The printed commands for Amazon EC2, run as they stand by the real AWS CLI, which stops before it asks a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from photonbuild.store import Store
from tests.integration.conftest import PROJECT, STORE
from tests.support.image_requests import upload_text
from tests.support.wheels import wheels

pytestmark = pytest.mark.integration

LOCK = PROJECT / "tests" / "native" / "awscli" / "requirements.lock"
# Its own ways to check a command without carrying it out; --query is applied to a sample of the answer.
AWS = """#!/bin/sh
case $1 in
s3) exec {python} -m awscli "$@" --dryrun ;;
*) exec {python} -m awscli "$@" --generate-cli-skeleton output ;;
esac
"""


@pytest.fixture(scope="module")
def awscli() -> Path:
    return wheels(Store.open(STORE), LOCK)


@pytest.fixture
def upload(awscli: Path, tmp_path: Path) -> Path:
    """A folder with what the commands upload, as far as they look at it, and ``aws`` in ``bin``."""
    names = {".raw": "", ".vmdk": "disk", ".import.json": json.dumps({"UserBucket": {"S3Bucket": "BUCKET"}})}
    for suffix, text in names.items():
        (tmp_path / f"phos-1.0-x86_64-aws{suffix}").write_text(text)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "aws").write_text(AWS.format(python=sys.executable))
    (tmp_path / "bin" / "aws").chmod(0o755)
    return tmp_path


def run_text(text: str, folder: Path, awscli: Path) -> subprocess.CompletedProcess[str]:
    env = {
        "PATH": f"{folder}/bin:{os.environ['PATH']}",
        "PYTHONPATH": str(awscli),
        "HOME": str(folder),
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    argv = ["bash", "-euo", "pipefail"]
    return subprocess.run(argv, input=text, env=env, text=True, capture_output=True, timeout=300, check=False)


def test_every_command_for_amazon_is_one(upload: Path, awscli: Path) -> None:
    done = run_text(upload_text("ami", upload), upload, awscli)
    assert done.returncode == 0, done.stderr
    # Of the file that is there; each answer, and the bucket, went into the next command.
    assert "upload:" in done.stdout and "s3://your-bucket/phos-1.0-x86_64-aws.vmdk" in done.stdout
    assert json.loads(done.stdout[done.stdout.rindex("\n{") :]) == {"ImageId": "ImageId"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("--ena-support", "--enasupport"),
        ("import-snapshot --", "import-snapshots --"),
        ("wait snapshot-imported", "wait snapshot-ready"),
        ("--import-task-ids", "--task-ids"),
        ("VolumeSize=", "Size="),
        ("Ebs={", "Ebs=["),
        ("s3 cp", "s3 put"),
        ("UserBucket", "Bucket"),
    ],
)
def test_commands_with_a_mistake_are_found(upload: Path, awscli: Path, old: str, new: str) -> None:
    text, description = upload_text("ami", upload), upload / "phos-1.0-x86_64-aws.import.json"
    assert old in text + description.read_text()
    description.write_text(description.read_text().replace(old, new))
    done = run_text(text.replace(old, new), upload, awscli)
    assert done.returncode != 0, done.stdout
