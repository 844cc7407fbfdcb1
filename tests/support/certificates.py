"""Certificates for tests, of an authority made for them."""

from pathlib import Path

import attrs
import trustme
from cryptography.hazmat.primitives import serialization


@attrs.frozen
class Certificates:
    """PEM files: the authority's certificate; keys with certificates, of the server localhost and of a client; and the
    certificate of another authority."""

    authority: Path
    server: Path
    client: Path
    stranger: Path


def certificates(folder: Path) -> Certificates:
    """Write certificates into a folder."""
    authority = trustme.CA()
    made = Certificates(*(folder / f"{name}.pem" for name in ("authority", "server", "client", "stranger")))
    authority.cert_pem.write_to_path(made.authority)
    trustme.CA().cert_pem.write_to_path(made.stranger)
    for file, name in ((made.server, "localhost"), (made.client, "client.test")):
        leaf = authority.issue_cert(name)
        file.write_bytes(_as_pkcs8(leaf.private_key_pem.bytes()) + b"".join(b.bytes() for b in leaf.cert_chain_pems))
    return made


def _as_pkcs8(pem: bytes) -> bytes:
    """Convert a private key to PKCS 8, the form that a broker reads."""
    key = serialization.load_pem_private_key(pem, None)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
