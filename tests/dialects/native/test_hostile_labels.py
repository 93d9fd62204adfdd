"""Hostile files sent to labels/read, and hostile capsules sent to reproduce: refused by name, never an internal error."""

import io
import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from jobs.images import storage
from jobs.images.labels import aigc, xmp
from jobs.models import Job, State, Transition
from tests.dialects.native.conftest import PREFIX
from tests.support.c2pa_authority import sign_manifests
from tests.support.hostile_values import FUZZ, TEXTS, bodies, encoded

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

FORMATS = ["png", "jpeg", "webp"]
OBJECT = {"Label": "1", "ContentProducer": "p", "ProduceID": "x-0"}
DESCRIPTION = (
    f'<rdf:RDF xmlns:rdf="{xmp.RDF}" xmlns:t="{xmp.TC260}" xmlns:m="{xmp.MEDIA}" xmlns:i="{xmp.IPTC}">'
    "<rdf:Description><t:AIGC>OBJECT</t:AIGC><m:DocumentID>NUMBER</m:DocumentID>"
    "<i:DigitalSourceType>TYPE</i:DigitalSourceType></rdf:Description></rdf:RDF>"
)


def checked(response: Any) -> dict[str, Any]:
    text = response.content.decode()
    assert response.status_code < 500, text[:500]
    body = json.loads(text)
    if response.status_code >= 400:
        assert {"type", "title", "status", "detail", "code"} <= set(body)
    return body


def file_with(file_format: str, packet: bytes, comment: bytes) -> bytes:
    image, file = Image.new("RGB", (32, 32), "red"), io.BytesIO()
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = comment
    if file_format == "png":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet.decode(errors="replace"))
        info.add_itxt(aigc.KEY, comment.decode(errors="replace"))
        image.save(file, "PNG", pnginfo=info, exif=exif)
    else:
        image.save(file, file_format, xmp=packet[:60_000], exif=exif.tobytes()[:60_000])
    return file.getvalue()


@pytest.mark.parametrize("file_format", FORMATS)
def test_any_value_in_a_label_is_read_or_ignored(file_format, alice):
    texts = st.sampled_from([text for text in TEXTS if "\0" not in text]) | st.text(max_size=40)

    @FUZZ
    @given(body=bodies(OBJECT), number=texts, kind=texts)
    def any_labels(body, number, kind) -> None:
        object_bytes = encoded(body)
        packet = DESCRIPTION.encode().replace(
            b"OBJECT", object_bytes.replace(b"&", b"&amp;").replace(b"<", b"&lt;")
        )
        packet = packet.replace(b"NUMBER", number.encode(errors="replace")).replace(
            b"TYPE", kind.encode(errors="replace")
        )
        data = file_with(file_format, packet, b"\0" * 8 + object_bytes)
        answer = checked(alice.client.post(PREFIX + "labels/read", data, content_type=f"image/{file_format}"))
        assert answer.get("origins", []) == []

    any_labels()


@pytest.mark.parametrize("file_format", FORMATS)
def test_damaged_files_with_labels_and_a_manifest_are_read_or_refused(
    file_format, alice, work, settings, tmp_path
):
    """Bytes are replaced, inserted and cut anywhere: in the manifest, the XMP packet, and the image data."""
    pytest.importorskip("c2pa")
    sign_manifests(settings, tmp_path)
    settings.CONTENT_PRODUCER = "the provider"
    job = alice.submit(output_format=file_format)
    work()
    data = storage.read_output(job.outputs.get())

    @FUZZ
    @given(at=st.integers(0, len(data) - 1), cut=st.integers(0, 64), put=st.binary(max_size=64))
    def any_damage(at, cut, put) -> None:
        damaged = data[:at] + put + data[at + cut :]
        answer = checked(
            alice.client.post(PREFIX + "labels/read", damaged, content_type=f"image/{file_format}")
        )
        if damaged != data and answer.get("c2pa"):
            assert not answer["origins"] or not answer["origins"][0]["same_file"]

    any_damage()


def test_any_capsule_is_accepted_or_refused(alice, work, source):
    source.max_queued_jobs = 1_000_000
    source.save()
    job = alice.submit()
    work()
    capsule = alice.get(f"jobs/{job.pk}/outputs/0/capsule").json()

    @FUZZ
    @given(body=bodies(capsule))
    def any_capsule(body) -> None:
        before = Job.objects.count()
        document = SimpleUploadedFile("capsule.json", encoded(body))
        response = alice.client.post(PREFIX + "reproduce", {"capsule": document})
        answer = checked(response)
        assert Job.objects.count() == before + (response.status_code == 201)
        if response.status_code == 201:
            checked(alice.get(f"reproductions/{answer['id']}"))

    any_capsule()
    assert Transition.objects.filter(to_state=State.QUEUED).count() == Job.objects.count()
