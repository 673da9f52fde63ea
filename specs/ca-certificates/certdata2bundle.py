"""Turn Mozilla's certdata.txt into one PEM bundle of authorities trusted to identify servers.

usage: certdata2bundle.py CERTDATA YYYYMMDD > BUNDLE

An authority is taken if its trust object says CKT_NSS_TRUSTED_DELEGATOR for server authentication.
Mozilla distrusts some authorities only for certificates issued after a certain day, which a bundle
cannot say: such an authority stays in until YYYYMMDD, the date of the list, is so much later that
no certificate from before that day is still valid.
"""

import base64
import datetime
import re
import sys
import textwrap
from collections.abc import Iterator

LONGEST_SERVER_CERTIFICATE = datetime.timedelta(days=398)

CertdataObject = dict[str, str | bytes]


def objects(lines: Iterator[str]) -> Iterator[CertdataObject]:
    """Yield the objects of a certdata file as attribute → value; octal data become bytes."""
    current: CertdataObject = {}
    for line in lines:
        line = line.strip()
        if not line or line.startswith("#") or line == "BEGINDATA":
            continue
        name, kind, *value = line.split(None, 2)
        if name == "CKA_CLASS" and current:
            yield current
            current = {}
        if kind == "MULTILINE_OCTAL":
            current[name] = octal(lines)
        else:
            current[name] = value[0] if value else ""
    if current:
        yield current


def octal(lines: Iterator[str]) -> bytes:
    """Read the octal escapes up to the line END."""
    data = bytearray()
    for line in lines:
        if line.strip() == "END":
            return bytes(data)
        data += bytes(int(digits, 8) for digits in re.findall(r"\\([0-7]{3})", line))
    raise ValueError("octal data without END")


def label(entry: CertdataObject) -> str:
    """The authority's name, unquoted; escapes of bytes that are not ASCII are decoded."""
    text = str(entry["CKA_LABEL"]).strip('"')
    raw = re.sub(rb"\\x([0-9a-fA-F]{2})", lambda hit: bytes([int(hit[1], 16)]), text.encode())
    return raw.decode("utf-8", "replace")


def still_trusted(entry: CertdataObject, today: datetime.date) -> bool:
    """Whether certificates from before the day of distrust, if there is one, may still be valid."""
    limit = entry.get("CKA_NSS_SERVER_DISTRUST_AFTER")
    if not isinstance(limit, bytes):
        return True
    day = datetime.datetime.strptime(limit.decode("ascii")[:6], "%y%m%d").date()
    return day + LONGEST_SERVER_CERTIFICATE > today


def main() -> None:
    path, date = sys.argv[1:]
    today = datetime.datetime.strptime(date, "%Y%m%d").date()
    with open(path, encoding="utf-8") as stream:
        entries = list(objects(iter(stream)))
    trusted = {
        (entry["CKA_ISSUER"], entry["CKA_SERIAL_NUMBER"])
        for entry in entries
        if entry["CKA_CLASS"] == "CKO_NSS_TRUST"
        and entry["CKA_TRUST_SERVER_AUTH"] == "CKT_NSS_TRUSTED_DELEGATOR"
    }
    bundle = []
    for entry in entries:
        if entry["CKA_CLASS"] != "CKO_CERTIFICATE":
            continue
        if (entry["CKA_ISSUER"], entry["CKA_SERIAL_NUMBER"]) not in trusted or not still_trusted(entry, today):
            continue
        value = entry["CKA_VALUE"]
        assert isinstance(value, bytes)
        body = "\n".join(textwrap.wrap(base64.b64encode(value).decode("ascii"), 64))
        bundle.append(f"# {label(entry)}\n-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    sys.stdout.write("\n".join(sorted(bundle)))


main()
