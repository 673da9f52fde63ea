"""The certificate file of an appliance (DMTF DSP0243): RSA over the SHA-256 of the manifest, and a certificate.

An image in the store is never signed; its copy in stage/ is. The private key is read where it lies, by openssl(1) of
the image seed in a sandbox without network: it is copied nowhere, and no program prints it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import tarfile
from dataclasses import dataclass
from pathlib import Path

from photonbuild.config.models import Signing
from photonbuild.errors import ConfigError, ImageError
from photonbuild.files import read_json, sha256_of, write_json
from photonbuild.images.archive import add_member
from photonbuild.run import Completed
from photonbuild.sandbox.sandbox import Bind, Sandbox

PEM = re.compile(r"-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----\n")


@dataclass(frozen=True, kw_only=True)
class Signer:
    """A key and its certificate that were found usable. `certificates`: the PEM blocks, the signer's first."""

    key: Path
    certificate: Path
    certificates: tuple[str, ...]
    seed: Path
    scratch: Path

    def openssl(self, work: Path, *words: str) -> Completed:
        """openssl(1) with the key as /signing/key, the certificate as /signing/certificate, and `work` as /work."""
        sandbox = Sandbox(
            layers=[self.seed],
            scratch=self.scratch,
            binds=[
                Bind(self.key, "/signing/key"),
                Bind(self.certificate, "/signing/certificate"),
                Bind(work, "/work", readonly=False),
            ],
        )
        return sandbox.run(["openssl", *words], check=False)


def signer(signing: Signing, *, seed: Path, scratch: Path, work: Path) -> Signer:
    """Check both files, before anything is built. Raises ConfigError that names the one that is wrong."""
    key, certificate = (Path(name).expanduser().absolute() for name in (signing.key, signing.certificate))
    for path in (key, certificate):
        if not path.is_file() or not os.access(path, os.R_OK):
            raise ConfigError("no such file, or not readable", where=str(path))
    if stat.S_IMODE(key.stat().st_mode) & 0o077:
        raise ConfigError("others than its owner may read this private key", where=str(key), hint=f"chmod 600 {key}")
    text = certificate.read_text(encoding="ascii", errors="replace")
    if "PRIVATE KEY" in text:
        raise ConfigError("this file holds a private key: only the certificate belongs in here", where=str(certificate))
    blocks = tuple(PEM.findall(text))
    if not blocks:
        raise ConfigError("no certificate in here", where=str(certificate), hint="a PEM file is expected")
    found = Signer(key=key, certificate=certificate, certificates=blocks, seed=seed, scratch=scratch)
    if found.openssl(work, "rsa", "-in", "/signing/key", "-passin", "pass:", "-noout").returncode:
        hint = "it is a PEM file without a passphrase"
        raise ConfigError("no RSA private key that can be used", where=str(key), hint=hint)
    public = found.openssl(work, "pkey", "-in", "/signing/key", "-pubout").stdout
    if public != found.openssl(work, "x509", "-in", "/signing/certificate", "-noout", "-pubkey").stdout:
        raise ConfigError("the certificate is not that of the key", where=str(certificate))
    return found


def sign_image(cached: Path, target: Path, by: Signer) -> None:
    """Make the folder `target` from the store's `cached`: the appliance with its certificate, checksum and manifest.

    Raises ImageError.
    """
    record = read_json(cached / "result.json")
    target.mkdir()
    image = target / record["path"]
    with tarfile.open(cached / record["path"]) as source, tarfile.open(image, "w", format=tarfile.USTAR_FORMAT) as tar:
        descriptor, listing, *rest = source.getmembers()
        manifest = target / listing.name
        manifest.write_bytes(_content(source, listing))
        certificate = target / f"{manifest.stem}.cert"
        certificate.write_text(certificate_text(manifest, by), encoding="ascii")
        tar.addfile(descriptor, source.extractfile(descriptor))
        for path in (manifest, certificate):
            add_member(tar, path.name, path, int(descriptor.mtime))
            path.unlink()
        for member in rest:
            tar.addfile(member, source.extractfile(member))
    record |= {"sha256": sha256_of(image), "size": image.stat().st_size}
    (target / record["checksum"]).write_text(f"{record['sha256']}  {record['path']}\n", encoding="utf-8")
    facts = read_json(cached / record["manifest"])
    facts |= {"sha256": record["sha256"], "size": record["size"], "certificate": "".join(by.certificates)}
    (target / record["manifest"]).write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for name in record["extras"]:
        shutil.copyfile(cached / name, target / name)
    write_json(target / "result.json", record)


def certificate_text(manifest: Path, by: Signer) -> str:
    """The certificate file for a manifest, its signature verified. Raises ImageError."""
    name, work = manifest.name, manifest.parent
    commands = [
        ("dgst", "-sha256", "-sign", "/signing/key", "-out", "/work/signature", f"/work/{name}"),
        ("x509", "-in", "/signing/certificate", "-noout", "-pubkey", "-out", "/work/public"),
        ("dgst", "-sha256", "-verify", "/work/public", "-signature", "/work/signature", f"/work/{name}"),
    ]
    for words in commands:
        done = by.openssl(work, *words)
        if done.returncode:
            raise ImageError(f"openssl {words[0]} failed", where=name, detail=(done.stderr or done.stdout).strip())
    signature = (work / "signature").read_bytes().hex()
    for temporary in ("signature", "public"):
        (work / temporary).unlink()
    return f"SHA256({name})= {signature}\n{''.join(by.certificates)}"


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = archive.extractfile(member)
    assert content is not None
    return content.read()
