"""A certificate authority of the tests, and an operator's certificate that the platform signs C2PA manifests with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PEM = serialization.Encoding.PEM


def sign_manifests(settings: Any, folder: Path) -> str:
    """Configure the platform to sign. Returns the certificate of the authority."""
    root, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    trusted = certificate("CA", root, "CA", root, is_authority=True)
    chain = certificate("operator", key, "CA", root, is_authority=False) + trusted
    (folder / "chain.pem").write_bytes(chain)
    secret = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(secret)
    settings.C2PA_CERTIFICATE, settings.C2PA_KEY = str(folder / "chain.pem"), str(folder / "key.pem")
    return trusted.decode()


def certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    authority: str,
    signer: ec.EllipticCurvePrivateKey,
    *,
    is_authority: bool,
) -> bytes:
    def named(text: str) -> x509.Name:
        fields = {NameOID.ORGANIZATION_NAME: "Acme", NameOID.COMMON_NAME: text}
        return x509.Name([x509.NameAttribute(oid, value) for oid, value in fields.items()])

    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        named(authority), named(name), key.public_key(), x509.random_serial_number()
    )
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    usage = x509.KeyUsage(True, False, False, False, False, is_authority, is_authority, False, False)
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    builder = builder.add_extension(x509.BasicConstraints(is_authority, None), critical=True)
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
    ).add_extension(issuer_id, critical=False)
    if not is_authority:
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purposes, critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(PEM)
