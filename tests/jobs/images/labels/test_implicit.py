"""What image files say about their origin, as independent readers see it: Pillow, exiftool and an XML parser."""

import base64
import io
import json
import shutil
import subprocess
import xml.etree.ElementTree as ET

import pytest
from PIL import Image
from PIL.ExifTags import IFD, Base

from gpu_runner.protocol import Image as RunnerImage
from gpu_runner.protocol.request_parts.outputs import Mark
from jobs.admission.admit import admit
from jobs.images import storage
from jobs.images.labels import aigc, xmp
from tests.support.fake_runner import png

FORMATS = ["png", "jpeg", "webp", "avif"]
IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"


@pytest.fixture
def stored(submission, source):
    """``stored(**fields)``: number and file of the only output of a job."""

    def stored(**fields) -> tuple[str, bytes]:
        job = admit(submission(**fields))
        job.source.refresh_from_db()
        image = RunnerImage(index=0, data=base64.b64encode(png(64, 64)).decode(), width=64, height=64, seed=1)
        output = storage.store_output(job, job.generation_request, image, "a cat\nSteps: 1")
        return f"{job.pk}-0", storage.read_output(output)

    return stored


@pytest.fixture
def producer(source) -> str:
    source.content_producer = '001191310000画坊"<&>'
    source.save()
    return source.content_producer


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def properties(data: bytes) -> dict[str, str]:
    """Text of each property of the XMP packet, by its qualified name."""
    image = opened(data)
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp", "").encode()
    if not packet:
        return {}
    (description,) = ET.fromstring(packet.strip(b"\0").decode()).iter(f"{{{xmp.RDF}}}Description")
    return {child.tag: child.text for child in description}


@pytest.mark.parametrize("output_format", FORMATS)
def test_xmp_has_the_aigc_object_in_every_format(output_format, stored, producer):
    number, data = stored(output_format=output_format)
    found = json.loads(properties(data)[f"{{{xmp.TC260}}}AIGC"])
    assert found == {
        "Label": "1",
        "ContentProducer": producer,
        "ProduceID": number,
        "ReservedCode1": "",
        "ContentPropagator": producer,
        "PropagateID": number,
        "ReservedCode2": "",
    }


def test_png_has_the_bare_object_in_a_chunk_after_the_infotext(stored, producer):
    number, data = stored(output_format="png")
    text = opened(data).text
    assert json.loads(text["AIGC"])["ProduceID"] == number
    assert text["parameters"] == "a cat\nSteps: 1"
    assert data.index(b"parameters") < data.index(b"AIGC")


def test_without_an_infotext_user_comment_holds_the_object(stored, producer):
    def comment(infotext):
        job_label = storage.ImplicitLabel({"Label": "1", "ContentProducer": producer})
        data = storage.file_metadata.with_infotext(png(), "jpeg", infotext, label=job_label)
        return opened(data).getexif().get_ifd(IFD.Exif)[Base.UserComment]

    assert comment("").startswith(b"ASCII\0\0\0")
    assert json.loads(comment("")[8:])["AIGC"]["ContentProducer"] == producer
    assert comment("a cat")[8:].decode("utf-16-be") == "a cat"


def test_without_a_producer_nothing_is_invented(stored):
    _number, data = stored(output_format="png")
    assert properties(data) == {f"{{{xmp.IPTC}}}DigitalSourceType": IPTC + "trainedAlgorithmicMedia"}
    assert "AIGC" not in opened(data).text


def test_files_of_equal_images_are_equal_without_the_object(stored):
    assert stored(output_format="png")[1] == stored(output_format="png")[1]


def test_producer_and_propagator_of_the_platform_are_the_default(stored, settings):
    settings.CONTENT_PRODUCER, settings.CONTENT_PROPAGATOR = "the provider", "the shop"
    _number, data = stored(output_format="webp")
    found = json.loads(properties(data)[f"{{{xmp.TC260}}}AIGC"])
    assert (found["ContentProducer"], found["ContentPropagator"]) == ("the provider", "the shop")


def test_images_made_from_an_input_image_are_composites(stored, db):
    picture = storage.store_input(png())
    for task in ("img2img", "upscale"):
        fields = {"upscale": {"scale": 2}} if task == "upscale" else {}
        _number, data = stored(task=task, init_images=(picture,), **fields)
        kind = properties(data)[f"{{{xmp.IPTC}}}DigitalSourceType"]
        assert kind == IPTC + "compositeWithTrainedAlgorithmicMedia"


def test_digital_source_type_can_be_turned_off(stored, settings):
    settings.DIGITAL_SOURCE_TYPE = False
    assert properties(stored(output_format="jpeg")[1]) == {}


def test_values_of_the_request_are_merged_with_those_of_the_source(stored, producer):
    own = {"Label": "1", "ProduceID": "p-1", "ContentPropagator": "shop"}
    number, data = stored(marks=(Mark(key="AIGC", text=json.dumps(own)), Mark(key="Other", text="kept")))
    found = json.loads(properties(data)[f"{{{xmp.TC260}}}AIGC"])
    assert (found["ContentProducer"], found["ProduceID"], found["ContentPropagator"]) == (
        producer,
        "p-1",
        "shop",
    )
    assert json.loads(opened(data).text["AIGC"]) == found
    assert data.count(b"AIGC\0") == 1
    assert opened(data).text["Other"] == "kept"
    assert properties(data)[f"{{{xmp.MEDIA}}}DocumentID"] == f"xmp.did:{number}"


def test_an_object_of_the_request_alone_is_written_as_it_is(stored):
    own = {"Label": "1", "ProduceID": "p-1"}
    _number, data = stored(marks=(Mark(key="AIGC", text=json.dumps(own)),))
    assert json.loads(opened(data).text["AIGC"]) == own


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
@pytest.mark.slow
def test_exiftool_reads_the_labels(output_format, stored, producer, tmp_path):
    number, data = stored(output_format=output_format)
    path = tmp_path / f"picture.{output_format}"
    path.write_bytes(data)
    answer = subprocess.run(["exiftool", "-j", "-n", "-G1", path], capture_output=True, check=True)
    (tags,) = json.loads(answer.stdout)
    assert json.loads(tags["XMP-TC260:Aigc"])["ProduceID"] == number
    assert tags["XMP-iptcExt:DigitalSourceType"] == IPTC + "trainedAlgorithmicMedia"
    assert "Warning" not in " ".join(tags)


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "[" * 100_000, '{"AIGC": 3}', '{"a": 1}', "null"])
def test_other_texts_have_no_aigc_object(text):
    assert aigc.parsed(text) == {}
