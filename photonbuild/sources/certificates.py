"""The certificate authorities that the host trusts: for requests, and for programs of the seed."""

from __future__ import annotations

import os
from pathlib import Path

from photonbuild.sandbox.sandbox import Bind

# What the user sets for OpenSSL's programs, for requests, for curl and requests.
SETTINGS = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def host_certificates() -> Path | None:
    """The host's bundle of certificate authorities, in one PEM file."""
    names = [*(os.environ.get(name, "") for name in SETTINGS), *BUNDLES]
    return next((Path(name) for name in names if name and Path(name).is_file()), None)


def trusted() -> str | bool:
    """What requests judges a server by (`verify`): the host's authorities, else the ones that it brings itself."""
    bundle = host_certificates()
    return str(bundle) if bundle else True


def certificate_binds() -> list[Bind]:
    """The host's authorities at `CERTIFICATES`, where Go and cargo of the seed look for them."""
    bundle = host_certificates()
    return [Bind(source=bundle, target=CERTIFICATES)] if bundle else []
