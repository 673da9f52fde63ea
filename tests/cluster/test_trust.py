"""Who gets in, and what a worker is believed."""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from photonbuild.errors import RemoteError
from photonbuild.pipeline.session import Session
from photonbuild.remote import buildbarn
from photonbuild.remote.cache import EnginePlace
from photonbuild.remote.digest import digest_of
from photonbuild.remote.endpoint import endpoint
from photonbuild.remote.engine import engine
from photonbuild.sandbox.sandbox import Bind, Sandbox
from tests.cluster.conftest import Client
from tests.integration.conftest import make_checkout
from tests.support.cluster import Cluster, Network, cluster, free_number

NAMES = ("builder", "stranger")


@pytest.fixture(scope="module")
def number() -> int:
    """Of the network of the guarded cluster."""
    return free_number()


@pytest.fixture(scope="module")
def certificates(session: Session, number: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a server of every address of a cluster, and two clients; another authority with a client."""
    work = tmp_path_factory.mktemp("certificates")
    binds = [Bind(work, "/work", readonly=False)]
    box = Sandbox(layers=[session.seed.root], scratch=session.store.scratch, binds=binds)
    address = Network(number).address()
    key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    lines = ["cd /work"]
    for authority in ("ca", "other"):
        lines.append(f"openssl req -x509 {key} -subj /CN={authority} -keyout {authority}.key -out {authority}.pem")
    rows = [("server", "ca", f"IP:{address}"), *((name, "ca", f"DNS:{name}") for name in NAMES)]
    for name, authority, alternative in (*rows, ("forged", "other", "DNS:builder")):
        lines += [
            f"echo subjectAltName={alternative} >{name}.ext",
            f"openssl req {key} -subj /CN={name} -keyout {name}.key -out {name}.csr",
            f"openssl x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial "
            f"-extfile {name}.ext -out {name}.pem",
        ]
    box.run(["bash", "-euc", "\n".join(lines)])
    for path in work.glob("*.key"):
        path.chmod(0o600)
    return work


@pytest.fixture(scope="module")
def issuer() -> Ed25519PrivateKey:
    """Who signs tokens."""
    return Ed25519PrivateKey.generate()


@pytest.fixture(scope="module")
def guarded(
    programs: Path, place: Path, certificates: Path, issuer: Ed25519PrivateKey, number: int
) -> Iterator[Cluster]:
    """A cluster that asks who its clients are: by certificate or token."""
    tls = {"serverKeyPair": buildbarn.key_pair(certificates / "server.pem", certificates / "server.key")}
    key = {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": words(issuer.public_key().public_bytes_raw())}
    either = [buildbarn.by_certificate((certificates / "ca.pem").read_text(), ["builder"]), buildbarn.by_token([key])]
    policy = {"any": {"policies": either}}
    with cluster(programs, place / "guarded", number=number, tls=tls, policy=policy) as made:
        made.start_storage()
        made.start_scheduler()
        made.start_worker("ada")
        yield made


def known_as(client: Client, certificates: Path, name: str | None, authority: str = "ca") -> None:
    lines = [f"  address: {client.address}", f"  authority: {certificates / authority}.pem"]
    if name:
        lines += [f"  certificate: {certificates / name}.pem", f"  key: {certificates / name}.key"]
    (client.checkout.root / "user.yaml").write_text("remote:\n" + "\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def visitor(guarded: Cluster, tmp_path: Path, seeded_store: Path) -> Client:
    return Client(make_checkout(tmp_path / "visitor", seeded_store), guarded.address)


def test_who_is_known_builds(visitor: Client, certificates: Path) -> None:
    """By the user's file alone."""
    known_as(visitor, certificates, "builder")
    assert "mini-data" in visitor.checkout.run("build", "mini-data").stderr


@pytest.mark.parametrize("name", [None, "stranger", "forged"])
def test_who_is_not_known_is_told_so(visitor: Client, certificates: Path, name: str | None) -> None:
    known_as(visitor, certificates, name)
    said = visitor.checkout.run("build", "mini-data", code=11).stderr
    assert re.search("does not know this client|cannot be reached", said) and "PRIVATE" not in said


def test_a_server_of_another_authority_is_not_believed(visitor: Client, certificates: Path) -> None:
    known_as(visitor, certificates, "builder", authority="other")
    said = visitor.checkout.run("build", "mini-data", code=11).stderr
    assert "cannot be reached" in said and "CERTIFICATE_VERIFY_FAILED" in said


def test_a_token_is_sent_over_encrypted_connections_only(visitor: Client, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("hush\n")
    token.chmod(0o600)
    (visitor.checkout.root / "user.yaml").write_text(
        f"remote: {{address: 'grpc://127.0.0.1:9', token_file: {token}}}\n", encoding="utf-8"
    )
    said = visitor.checkout.run("build", "mini-data", code=2).stderr
    assert "not encrypted" in said and "hush" not in said


def words(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def web_token(issuer: Ed25519PrivateKey, seconds: int) -> str:
    """RFC 7519, for so many seconds from now."""
    parts = {"alg": "EdDSA", "typ": "JWT"}, {"sub": "builder", "exp": int(time.time()) + seconds}
    text = ".".join(words(json.dumps(part).encode()) for part in parts)
    return f"{text}.{words(issuer.sign(text.encode()))}"


def test_tokens(visitor: Client, certificates: Path, issuer: Ed25519PrivateKey, tmp_path: Path) -> None:
    """A valid one gets in, one of another issuer and one that has expired do not. Each call takes the file's."""
    file = tmp_path / "token"
    file.touch(mode=0o600)
    settings = f"remote:\n  address: {visitor.address}\n  authority: {certificates}/ca.pem\n  token_file: {file}\n"
    (visitor.checkout.root / "user.yaml").write_text(settings, encoding="utf-8")
    for token in (web_token(Ed25519PrivateKey.generate(), 600), web_token(issuer, -60)):
        file.write_text(token, encoding="ascii")
        said = visitor.checkout.run("build", "mini-data", code=11).stderr
        assert "does not know this client" in said and token not in said
    file.write_text(web_token(issuer, 600), encoding="ascii")
    assert "mini-data" in visitor.checkout.run("build", "mini-data").stderr
    place = endpoint(visitor.address, authority=certificates / "ca.pem", token_file=file)
    with engine(place, execution=False) as found:
        assert found.blobs.missing([digest_of(b"nobody has this")])
        file.write_text(web_token(issuer, -60), encoding="ascii")
        with pytest.raises(RemoteError, match="does not know this client"):
            found.blobs.missing([digest_of(b"nor this")])


def test_what_is_rechecked_is_the_same(client: Client) -> None:
    number = uuid.uuid4().hex
    client.anew(number)
    client.checkout.run("build", *client.options, "--recheck", "100%")
    assert len(client.digests()) > 15


def test_a_worker_that_gives_something_else_is_named(
    programs: Path, place: Path, tmp_path: Path, seeded_store: Path
) -> None:
    """One whose seed somebody has changed."""
    with cluster(programs, place / "liar") as made:
        made.start_storage()
        made.start_scheduler()
        made.start_worker("mallory")
        client = Client(make_checkout(tmp_path / "client", seeded_store), made.address)
        client.build("mini-data")
        (macros,) = (made.home("mallory") / "cache" / "seeds").glob("*/*/usr/lib/rpm/macros")
        with macros.open("a", encoding="utf-8") as file:
            file.write("%bugurl https://mallory.example.org\n")
        client.anew(uuid.uuid4().hex)
        said = client.checkout.run("build", "mini-data", *client.options, "--recheck", "100%", code=11).stderr
        assert "mini-data: worker mallory gave other packages than a build here" in said
        assert len(list((client.checkout.store / "packages").glob("mini-data/*"))) == 1


def test_files_in_the_storage(trio: Cluster, tmp_path: Path) -> None:
    """What a shared cache keeps there, over a real server."""
    name, file = uuid.uuid4().hex, tmp_path / "file"
    for size in (100, 9 << 20):
        file.write_bytes(bytes(size))
        with engine(endpoint(trio.address), execution=False) as found:
            place = EnginePlace(engine=found)
            assert not place.has(f"{name}/{size}")
            place.put(file, f"{name}/{size}")
            assert place.get(f"{name}/{size}", tmp_path / "home", size)
            assert (tmp_path / "home").read_bytes() == file.read_bytes() and place.has(f"{name}/{size}")
