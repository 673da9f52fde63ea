"""The recipes of docs/use/ci: read by what the services read them with, and the plain one run, by podman.

No service is here, nor their actions and images: what of a recipe only they can run is not run. The tools come from the
registries of their languages, each of one version.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.matrix.test_updates_guide import copy_of_this_checkout

pytestmark = pytest.mark.matrix

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "docs/use/ci"
TEMPLATE = ROOT / "photonbuild/projects/template/dot-github/workflows/images.yaml"
ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.7"
GITLAB_CI_LOCAL = "gitlab-ci-local@4.61.1"
GROOVY = "4.0.27"
POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion><groupId>x</groupId><artifactId>x</artifactId><version>1</version>
<dependencies><dependency>
<groupId>org.apache.groovy</groupId><artifactId>groovy</artifactId><version>{GROOVY}</version>
</dependency></dependencies></project>
"""
COMPILER = "org.codehaus.groovy.tools.FileSystemCompiler"
IMAGE = "localhost/photonbuild-recipe:test"
# The volume's name is the recipe's.
VOLUME = "photonbuild-store"


def run(argv: Sequence[str | Path], folder: Path, env: Mapping[str, str] | None = None, limit: float = 900) -> str:
    """Its output; a failure fails the test."""
    program = str(argv[0])
    if shutil.which(program) is None:
        pytest.fail(f"{program} is not installed", pytrace=False)
    done = subprocess.run(
        argv, cwd=folder, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False, timeout=limit
    )
    assert done.returncode == 0, f"{argv}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout + done.stderr


def test_github(tmp_path: Path) -> None:
    """actionlint(1), which has shellcheck(1) look at the scripts where there is one."""
    run(["go", "install", ACTIONLINT], tmp_path, {"GOBIN": str(tmp_path), "GOFLAGS": ""})
    run([tmp_path / "actionlint", RECIPES / "github.yaml", TEMPLATE], tmp_path)
    bad = tmp_path / "bad.yaml"
    bad.write_text((RECIPES / "github.yaml").read_text(encoding="utf-8").replace("restore-keys", "restore-key"))
    assert subprocess.run([tmp_path / "actionlint", bad], capture_output=True, check=False).returncode == 1


def test_gitlab(tmp_path: Path) -> None:
    """gitlab-ci-local, which holds a pipeline against GitLab's own schema and shows what becomes of it."""
    run(["npm", "install", "--silent", "--prefix", tmp_path / "npm", GITLAB_CI_LOCAL], tmp_path)
    place = tmp_path / "place"
    place.mkdir()
    shutil.copy(RECIPES / "gitlab-ci.yml", place / ".gitlab-ci.yml")
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    remote = ["remote", "add", "origin", "https://gitlab.example.org/a/b.git"]
    for words in (["init", "-q"], ["add", "-A"], [*author, "commit", "-qm", "x"], remote):
        run(["git", *words], place)
    program = tmp_path / "npm/node_modules/.bin/gitlab-ci-local"
    said = run([program, "--list"], place)
    assert "json schema validated" in said and "build-image" in said


def test_jenkins(tmp_path: Path) -> None:
    """Groovy's compiler: it is a program, of steps that only Jenkins knows."""
    (tmp_path / "pom.xml").write_text(POM)
    run(["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=libs"], tmp_path)
    run(["java", "-cp", "libs/*", COMPILER, "-d", "classes", RECIPES / "Jenkinsfile"], tmp_path)
    assert (tmp_path / "classes/Jenkinsfile.class").is_file()


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Variables for podman(1), with an image of Debian that knows this machine's authorities and its Go proxy.

    No registry of images is asked: it is made by mmdebstrap. Limits are those that this machine can give.
    """
    folder = tmp_path_factory.mktemp("podman")
    processes, files = (resource.getrlimit(kind)[1] for kind in (resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE))
    runtime = "runc" if shutil.which("runc") else "crun"
    (folder / "containers.conf").write_text(
        f'[containers]\ndefault_ulimits = ["nofile={min(files, 1 << 20)}", "nproc={max(processes // 4, 4096)}"]\n'
        f'[engine]\nruntime = "{runtime}"\n'
    )
    env = {"CONTAINERS_CONF": str(folder / "containers.conf")}
    authorities = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
    shutil.copy(authorities, folder / "authorities.pem")
    hook = "--customize-hook=copy-in authorities.pem /usr/local/share/"
    run(["mmdebstrap", "--variant=minbase", "--include=ca-certificates", hook, "trixie", "root.tar"], folder)
    inside = dict.fromkeys(("PIP_CERT", "SSL_CERT_FILE"), "/usr/local/share/authorities.pem")
    inside["GOPROXY"] = run(["go", "env", "GOPROXY"], folder).strip()
    changes = [word for name, value in inside.items() for word in ("--change", f"ENV {name}={value}")]
    run(["podman", "import", "--quiet", *changes, "root.tar", IMAGE], folder, env)
    yield {**env, "ENGINE": "podman", "CONTAINER_IMAGE": IMAGE}
    subprocess.run(["podman", "rmi", "--force", IMAGE], env={**os.environ, **env}, check=True, capture_output=True)


def test_plain_container(podman: Mapping[str, str], tmp_path: Path) -> None:
    """The recipe as it stands: from a bare Debian, with a store of its own, to a package."""
    checkout = copy_of_this_checkout(tmp_path / "checkout")
    listed = run(["podman", "volume", "ls", "--quiet"], tmp_path, podman).split()
    assert VOLUME not in listed, f"a volume of that name is in use here: podman volume rm {VOLUME}"
    try:
        said = run(["sh", "docs/use/ci/container.sh", "build", "zlib"], checkout, podman, limit=3600)
    finally:
        run(["podman", "volume", "rm", "--force", VOLUME], tmp_path, podman)
    assert "1 packages: 1 built, 0 from the store" in said
    assert "/store/packages/zlib/" in said
