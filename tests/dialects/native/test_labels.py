"""Route labels/read: what an image file says about its origin, and which job of the caller drew it."""

import io
import socket

import numpy as np
import pytest
from PIL import Image

from jobs.images import label_report, storage
from jobs.images.labels import origin
from jobs.models import Fingerprint, Job
from tests.support.c2pa_authority import sign_manifests
from tests.support.fake_runner import png

ROUTE = "/api/v1/labels/read"


@pytest.fixture
def read(alice):
    """``read(data)``: the answer to this file."""

    def read(data: bytes, client=alice, content_type: str = "image/png"):
        return client.client.post(ROUTE, data, content_type=content_type)

    return read


@pytest.fixture
def drawn(alice, work, settings) -> Job:
    settings.CONTENT_PRODUCER = "the provider"
    job = alice.submit()
    work()
    job.refresh_from_db()
    return job


def file_of(job: Job) -> bytes:
    return storage.read_output(job.outputs.get())


def photograph(seed: int = 1, size: tuple[int, int] = (256, 256)) -> Image.Image:
    """Smooth shapes, as photographs have."""
    noise = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def saved(image: Image.Image, file_format: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def test_labels_of_an_own_image_and_its_job(read, drawn):
    answer = read(file_of(drawn)).json()
    assert answer["aigc"]["ContentProducer"] == "the provider"
    assert answer["places"] == ["xmp", "png_chunk"]
    assert answer["digital_source_type"].endswith("/trainedAlgorithmicMedia")
    (found,) = answer["origins"]
    assert found == {
        "job_id": str(drawn.pk),
        "index": 0,
        "found_by": "number",
        "distance": 0,
        "same_file": True,
        "visible_texts": [],
    }


@pytest.fixture
def labeled(source):
    source.explicit_label = "on"
    source.save()
    return source


def test_visible_text_is_that_of_the_record(read, labeled, alice, work):
    job = alice.submit(labels=[{"text": "Acme", "corner": "top-left"}])
    work()
    labeled.label_text = "AI-generated"  # a later setting says nothing about an image that is stored
    labeled.save()
    data = file_of(job)
    (found,) = read(data).json()["origins"]
    assert (found["same_file"], found["visible_texts"]) == (True, ["Acme", "AI生成"])
    cropped = Image.open(io.BytesIO(data))
    (found,) = read(saved(cropped.crop((0, 0, 60, 60)), xmp=cropped.info["xmp"])).json()["origins"]
    assert (found["same_file"], found["visible_texts"]) == (False, ["Acme", "AI生成"])


def test_visible_text_that_was_not_recorded_is_not_guessed(read, labeled, drawn):
    drawn.outputs.update(visible_texts=None)
    (found,) = read(file_of(drawn)).json()["origins"]
    assert found["visible_texts"] is None


def test_manifest_with_signer_and_validity(read, settings, tmp_path, alice, work):
    pytest.importorskip("c2pa")
    sign_manifests(settings, tmp_path)
    job = alice.submit()
    work()
    data = file_of(job)
    answer = read(data).json()
    assert answer["c2pa_read"] is True
    assert answer["c2pa"] == {
        "title": f"{job.pk}-0",
        "generator": "Atelier",
        "signer": "operator",
        "issuer": "Acme",
        "valid": True,
        "trusted": True,
        "problems": [],
    }
    assert [found["job_id"] for found in answer["origins"]] == [str(job.pk)]
    at = data.index(b"IDAT") + 12
    changed = read(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]).json().get("c2pa")
    assert changed is None or not changed["valid"]  # Pillow may refuse the damaged file as a whole
    settings.C2PA_CERTIFICATE = ""
    unknown = read(data).json()["c2pa"]
    assert (unknown["valid"], unknown["trusted"]) == (True, False)


def test_without_the_extra_manifests_are_not_read(read, monkeypatch, drawn):
    monkeypatch.setattr(label_report.c2pa_reading, "is_installed", lambda: False)
    answer = read(file_of(drawn)).json()
    assert (answer["c2pa"], answer["c2pa_read"]) == (None, False)


def test_manifest_by_url_is_not_fetched(read):
    """A file that names its manifest by URL has none: nothing is connected to."""
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:dcterms="http://purl.org/dc/terms/" dcterms:provenance="PROVENANCE"/></rdf:RDF></x:xmpmeta>'
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/manifest.c2pa"
        data = saved(photograph(), "JPEG", xmp=packet.replace("PROVENANCE", url).encode())
        response = read(data)
        assert response.status_code == 200
        assert not (response.json()["c2pa"] or {}).get("valid")
        with pytest.raises(TimeoutError):
            server.accept()


def test_multipart_is_accepted(alice, drawn):
    file = io.BytesIO(file_of(drawn))
    file.name = "image.png"
    assert alice.client.post(ROUTE, {"file": file}).json()["origins"][0]["job_id"] == str(drawn.pk)


def test_jobs_of_other_sources_are_not_found(read, drawn, charlie):
    answer = read(file_of(drawn), charlie).json()
    assert answer["aigc"]["ContentProducer"] == "the provider", "what the file says is no secret"
    assert answer["origins"] == []
    assert read(png(64, 64), charlie).json()["origins"] == []


def remembered(job: Job, image: Image.Image) -> None:
    Fingerprint.objects.all().delete()
    output = job.outputs.get()
    output.perceptual_hash = origin.perceptual_hash(image)
    Fingerprint.objects.bulk_create(origin.fingerprints(job, [output]))


@pytest.mark.parametrize(
    "stripped",
    [
        lambda image: saved(image),
        lambda image: saved(image, "JPEG", quality=60),
        lambda image: saved(image.resize((100, 100)), "WEBP", quality=50),
        lambda image: saved(image.resize((700, 700)), "JPEG"),
    ],
)
def test_without_metadata_an_image_is_found_by_what_it_looks_like(stripped, read, drawn):
    remembered(drawn, photograph())
    answer = read(stripped(photograph())).json()
    assert (answer["aigc"], answer["places"]) == ({}, [])
    (found,) = answer["origins"]
    assert (found["job_id"], found["found_by"]) == (str(drawn.pk), "perceptual_hash")
    assert found["distance"] <= origin.MAX_DISTANCE


def test_another_image_is_not_found(read, drawn):
    remembered(drawn, photograph(1))
    assert read(saved(photograph(2))).json()["origins"] == []


def test_every_stored_image_has_a_fingerprint(drawn):
    fingerprint = Fingerprint.objects.get(output__job=drawn)
    assert fingerprint.value == origin.perceptual_hash(Image.open(io.BytesIO(file_of(drawn))))
    assert fingerprint.source == drawn.source


def test_lookup_uses_the_index_of_the_source(drawn, source):
    query = Fingerprint.objects.filter(source__in=[source.pk], band_2=7)
    assert "fingerprint_band_2" in query.explain()


def labels_of(packet: str) -> label_report.FileLabels:
    return label_report.reading.read(Image.open(io.BytesIO(saved(photograph(), "JPEG", xmp=packet.encode()))))


RDF = '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:t="http://www.tc260.org.cn/ns/AIGC/1.0/">'


def test_the_object_is_also_read_from_an_attribute():
    packet = f"""{RDF}<rdf:Description t:AIGC='{{"Label":"2","ProduceID":"x"}}'/></rdf:RDF>"""
    assert labels_of(packet).aigc == {"Label": "2", "ProduceID": "x"}


@pytest.mark.parametrize(
    "packet",
    [
        "",
        "<",
        "no XML",
        '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        f"{RDF}<rdf:Description><t:AIGC>[]</t:AIGC></rdf:Description></rdf:RDF>",
        "<a>" * 5000,
    ],
)
def test_damaged_packets_count_as_none(packet):
    assert labels_of(packet).aigc == {}


@pytest.mark.parametrize(
    ("data", "content_type", "status"),
    [
        (b"", "image/png", 415),
        (b"GIF89a", "image/png", 422),
        (b"no image", "application/octet-stream", 422),
        (b"{}", "application/json", 415),
        (png(8, 8)[:60], "image/png", 422),
    ],
)
def test_what_is_no_image_is_refused_by_name(data, content_type, status, read):
    response = read(data, content_type=content_type)
    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")


def test_a_number_that_is_none_of_ours_is_ignored(db, source):
    for number in ("", "p-1", "xmp.did:" + "0" * 36, f"{'0' * 8}-0000-0000-0000-{'0' * 12}-0"):
        assert origin.find(None, [number], photograph()) == []
