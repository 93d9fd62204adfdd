"""Signed manifests, verified by the library's own reader with a certificate authority of the test."""

import base64
import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gpu_runner.protocol import Image as RunnerImage
from jobs.admission.admit import admit
from jobs.images import storage
from tests.support.fake_runner import png

c2pa = pytest.importorskip("c2pa")
PEM = serialization.Encoding.PEM


def certificate(name: str, key, authority: str, signer, *, is_authority: bool) -> bytes:
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


@pytest.fixture
def authority(settings, tmp_path) -> str:
    """Certificate of the authority, whose operator's certificate the platform signs with."""
    root, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    trusted = certificate("CA", root, "CA", root, is_authority=True)
    chain = certificate("operator", key, "CA", root, is_authority=False) + trusted
    (tmp_path / "chain.pem").write_bytes(chain)
    secret = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "key.pem").write_bytes(secret)
    settings.C2PA_CERTIFICATE, settings.C2PA_KEY = str(tmp_path / "chain.pem"), str(tmp_path / "key.pem")
    return trusted.decode()


def stored(submission, **fields) -> tuple[str, bytes]:
    job = admit(submission(**fields))
    image = RunnerImage(index=0, data=base64.b64encode(png(64, 64)).decode(), width=64, height=64, seed=1)
    return f"{job.pk}-0", storage.read_output(storage.store_output(job, job.generation_request, image, "a"))


def verified(data: bytes, file_format: str, authority: str) -> dict:
    rules = {"trust": {"trust_anchors": authority}, "verify": {"verify_trust": True}}
    with (
        c2pa.Context(c2pa.Settings.from_dict(rules)) as context,
        c2pa.Reader(f"image/{file_format}", io.BytesIO(data), context=context) as reader,
    ):
        return json.loads(reader.json())


@pytest.mark.parametrize("file_format", ["png", "jpeg", "webp", "avif"])
def test_manifest_is_signed_and_trusted_in_every_format(file_format, authority, submission):
    number, data = stored(submission, output_format=file_format)
    found = verified(data, file_format, authority)
    manifest = found["manifests"][found["active_manifest"]]
    assert (found["validation_state"], manifest["title"]) == ("Trusted", number)
    assert manifest["signature_info"]["common_name"] == "operator"
    (actions,) = [part["data"]["actions"] for part in manifest["assertions"] if "actions" in part["label"]]
    assert actions[0]["action"] == "c2pa.created"
    assert actions[0]["digitalSourceType"].endswith("/trainedAlgorithmicMedia")


def test_a_changed_file_is_not_valid(authority, submission):
    _number, data = stored(submission, output_format="png")
    at = data.index(b"IDAT") + 12
    changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    assert verified(changed, "png", authority)["validation_state"] == "Invalid"


def test_an_input_image_is_an_ingredient(authority, submission):
    picture = storage.store_input(png())
    _number, data = stored(submission, task="img2img", init_images=(picture,))
    found = verified(data, "png", authority)
    manifest = found["manifests"][found["active_manifest"]]
    assert found["validation_state"] == "Trusted"
    assert [part["relationship"] for part in manifest["ingredients"]] == ["inputTo"]


def test_without_a_certificate_there_is_no_manifest(submission):
    _number, data = stored(submission)
    assert b"c2pa" not in data
