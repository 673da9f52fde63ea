"""The rules of DMTF DSP0243 for a package as one file: the tar, the manifest, the certificate, what is referred to."""

from __future__ import annotations

import base64
import hashlib
import re
import struct
import tarfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tests.support.ovf_rules import descriptor_problems

BLOCK = 512
SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")  # DigestInfo, RFC 8017 section 9.2
LINE = re.compile(r"SHA256\(([^()\n]+)\)= ([0-9a-f]+)\n")


def package_problems(path: Path) -> list[str]:
    """What of the rules an .ova breaks, those of its descriptor included; empty for a good one."""
    try:
        with tarfile.open(path, "r:") as archive:
            members = archive.getmembers()
            return [*tar_problems(path, members), *content_problems(archive, members)]
    except tarfile.TarError as error:
        return [f"no tar: {error}"]


def tar_problems(path: Path, members: list[tarfile.TarInfo]) -> Iterator[str]:
    with path.open("rb") as handle:
        for member in members:
            handle.seek(member.offset)
            header = handle.read(BLOCK)
            if header[257:265] != b"ustar\x0000":
                yield f"{member.name}: no ustar header"
            if header[156:157] not in (b"0", b"\0"):
                yield f"{member.name}: no regular file"
            if PurePosixPath(member.name).name != member.name:
                yield f"{member.name}: not beside the descriptor"
    names = [member.name for member in members]
    if len(set(names)) != len(names):
        yield "a name is there twice"


def content_problems(archive: tarfile.TarFile, members: list[tarfile.TarInfo]) -> Iterator[str]:
    names = [member.name for member in members]
    if not names or not names[0].endswith(".ovf"):
        yield "the descriptor is not the first file"
        return
    base = names[0].removesuffix(".ovf")
    descriptor = content(archive, names[0])
    broken = descriptor_problems(descriptor)
    yield from broken
    extra = [name for name in (f"{base}.mf", f"{base}.cert") if name in names]
    strange = [name for name in names[1:] if name.endswith((".mf", ".cert", ".ovf")) and name not in extra]
    if strange:
        yield f"not called after the descriptor, or a second one: {strange}"
    if broken and broken[0].startswith(("no XML", "the root element")):
        return
    root = ElementTree.fromstring(descriptor)
    ovf = root.tag.removesuffix("Envelope")
    files = {file.get(f"{ovf}href", ""): file.get(f"{ovf}size") for file in root.iter(f"{ovf}File")}
    local = [name for name in files if "://" not in name]
    if names[1:] not in ([*extra, *local], [*local, *extra]):
        yield f"order: {names}, but the references are {local}"
    sizes = {member.name: member.size for member in members}
    for name, size in files.items():
        if name in sizes and size is not None and int(size) != sizes[name]:
            yield f"{name}: {sizes[name]} bytes, not {size}"
    for disk in root.iter(f"{ovf}Disk"):
        yield from capacity_problems(archive, root, ovf, disk)
    if f"{base}.mf" in names:
        yield from manifest_problems(archive, names, f"{base}.mf")
    if f"{base}.cert" in names:
        yield from signature_problems(archive, names, base)


def capacity_problems(
    archive: tarfile.TarFile, root: ElementTree.Element, ovf: str, disk: ElementTree.Element
) -> Iterator[str]:
    """The capacity that the descriptor states is that in the header of the VMDK, in sectors."""
    for file in root.iter(f"{ovf}File"):
        name = file.get(f"{ovf}href", "")
        if file.get(f"{ovf}id") == disk.get(f"{ovf}fileRef") and name in archive.getnames():
            magic, _, _, sectors = struct.unpack_from("<4sIIQ", content(archive, name, 64))
            if magic != b"KDMV" or sectors * 512 != int(disk.get(f"{ovf}capacity", "0")):
                yield f"{name}: a disk of {sectors * 512} bytes, not {disk.get(f'{ovf}capacity')}"


def manifest_problems(archive: tarfile.TarFile, names: list[str], listing: str) -> Iterator[str]:
    text = content(archive, listing).decode("ascii", "replace")
    lines = LINE.findall(text)
    if "".join(f"SHA256({name})= {digest}\n" for name, digest in lines) != text:
        yield f"{listing}: lines of another form"
    wanted = [name for name in names if not name.endswith((".mf", ".cert"))]
    if sorted(name for name, _ in lines) != sorted(wanted):
        yield f"{listing}: lists {[name for name, _ in lines]}, not {wanted}"
    for name, digest in lines:
        if name in names and digest != sha256(archive, name):
            yield f"{name}: the digest is not that of the manifest"


def signature_problems(archive: tarfile.TarFile, names: list[str], base: str) -> Iterator[str]:
    text = content(archive, f"{base}.cert").decode("ascii", "replace")
    first, _, rest = text.partition("\n")
    match = LINE.fullmatch(first + "\n")
    blocks = re.findall(r"-----BEGIN CERTIFICATE-----\n(.*?)-----END CERTIFICATE-----\n", rest, re.S)
    if "PRIVATE KEY" in text:
        yield "there is a private key in the certificate file"
    if match is None or match[1] != f"{base}.mf" or not blocks:
        yield "the certificate file is no digest of the manifest and a certificate"
    elif f"{base}.mf" not in names:
        yield "a signature without a manifest"
    else:
        modulus, exponent = rsa_key(base64.b64decode(blocks[0]))
        if not rsa_verifies(content(archive, f"{base}.mf"), int(match[2], 16), modulus, exponent):
            yield "the signature is not that of the manifest"


def rsa_verifies(message: bytes, signature: int, modulus: int, exponent: int) -> bool:
    """RSASSA-PKCS1-v1_5 with SHA-256, RFC 8017 section 8.2.2."""
    size = (modulus.bit_length() + 7) // 8
    tail = b"\0" + SHA256_PREFIX + hashlib.sha256(message).digest()
    expected = b"\0\1" + b"\xff" * (size - 2 - len(tail)) + tail
    return pow(signature, exponent, modulus).to_bytes(size, "big") == expected


def rsa_key(certificate: bytes) -> tuple[int, int]:
    """Modulus and exponent in an X.509 certificate (DER, RFC 5280): of its subjectPublicKeyInfo."""
    fields = list(elements(next(elements(next(elements(certificate))[1]))[1]))  # of tbsCertificate
    place = 6 if fields[0][0] == 0xA0 else 5  # behind version, serial, algorithm, issuer, validity, subject
    _, bits = list(elements(fields[place][1]))[1]
    numbers = [int.from_bytes(value, "big") for _, value in elements(next(elements(bits[1:]))[1])]
    return numbers[0], numbers[1]


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tags and contents of the DER values that lie one after another."""
    position = 0
    while position < len(data):
        tag, length, position = data[position], data[position + 1], position + 2
        if length & 0x80:
            count = length & 0x7F
            length, position = int.from_bytes(data[position : position + count], "big"), position + count
        yield tag, data[position : position + length]
        position += length


def content(archive: tarfile.TarFile, name: str, size: int = -1) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read(size) if size >= 0 else file.read()


def sha256(archive: tarfile.TarFile, name: str) -> str:
    return hashlib.sha256(content(archive, name)).hexdigest()
