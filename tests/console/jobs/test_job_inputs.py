"""Inputs, masks and control maps on the page of a job."""

import hashlib
import io

import pytest
from django.core.files.base import ContentFile
from PIL import Image

from gpu_runner.protocol.request_parts.control import ControlUnit
from gpu_runner.protocol.request_parts.passes import Inpaint
from gpu_runner.protocol.request_parts.values import InputImage
from jobs.admission.admit import admit
from jobs.images import input_usage
from jobs.images.input_files import open_image
from jobs.models import InputPicture, JobInput, Output, OutputKind
from models_registry.models import Kind, ModelFile

pytestmark = pytest.mark.slow


def encoded(color, file_format="PNG", size=(16, 8)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, file_format)
    return file.getvalue()


@pytest.fixture
def job(submission):
    """An inpainting job with a control unit; its inputs are red, white and blue."""
    ModelFile.objects.create(
        kind=Kind.CONTROLNET,
        family="sd15",
        name="canny",
        path="controlnet/canny.safetensors",
        sha256="1" * 64,
    )
    files = {hashlib.sha256(data).hexdigest(): data for data in map(encoded, ("red", "white", "blue"))}
    init, mask, control = [InputImage(sha256=sha256) for sha256 in files]
    units = (ControlUnit(model="canny", image=control, resize_mode="fill"),)
    fields = {"task": "img2img", "init_images": (init,), "inpaint": Inpaint(mask=mask), "controls": units}
    job = admit(submission(operation="img2img", input_files=files, resize_mode="crop", **fields))
    output = Output(job=job, kind=OutputKind.CONTROL_MAP, index=0, sha256="2" * 64, size_bytes=1, seed=1)
    output.width, output.height = 16, 8
    output.file.save("map.png", ContentFile(encoded("green")))
    return job


def beside(client, job):
    return client.get(f"/admin/jobs/job/{job.pk}/change/").context["beside"]


def test_page_shows_what_is_beside_the_results(ops, job):
    shown = beside(ops, job)
    assert [(each.label, each.fit) for each in shown] == [
        ("input image 0", "cover"),
        ("mask", "cover"),
        ("ControlNet unit 0: image", "contain"),
        ("control map 0", "fill"),
    ]
    colors = [open_image(ops.get(each.url).content).convert("RGB").getpixel((0, 0)) for each in shown]
    assert colors == [(255, 0, 0), (255, 255, 255), (0, 0, 255), (0, 128, 0)]


def test_results_are_compared_by_a_slider(ops, job):
    page = f"/admin/jobs/job/{job.pk}/change/"
    assert "job-compare" not in ops.get(page).content.decode()
    Output.objects.create(
        job=job, index=0, file="x.png", sha256="3" * 64, size_bytes=1, width=64, height=64, seed=1
    )
    text = ops.get(page).content.decode()
    assert 'type="range"' in text
    assert "console/compare.js" in text


def test_input_is_encoded_anew(ops, job, submission):
    data = encoded("red", "JPEG") + b"<script>alert(1)</script>"
    sha256 = hashlib.sha256(data).hexdigest()
    fields = {"task": "img2img", "init_images": (InputImage(sha256=sha256),), "input_files": {sha256: data}}
    response = ops.get(beside(ops, admit(submission(**fields)))[0].url)
    assert response["Content-Type"] == "image/png"
    assert b"script" not in response.content


def test_deleted_inputs_are_left_out(ops, job):
    shown = beside(ops, job)
    JobInput.objects.filter(job=job).delete()
    assert [each.label for each in beside(ops, job)] == ["control map 0"]
    assert ops.get(shown[0].url).status_code == 404


def test_missing_input_file_is_not_found(ops, job):
    url = beside(ops, job)[0].url
    InputPicture.objects.all().delete()
    assert ops.get(url).status_code == 404


def test_inputs_are_hidden_from_other_tenants(ops, job, sign_in, other_source, submission):
    urls = [each.url for each in beside(ops, job)]
    client = sign_in("tenant", other_source)
    assert {client.get(url).status_code for url in urls} == {404}
    # Knowing the hash gives no access to an image by another job.
    own = admit(submission(source=other_source, key=None))
    digest = job.inputs.first().sha256
    assert input_usage.touch(digest)
    assert client.get(f"/admin/jobs/job/{own.pk}/inputs/{digest}/").status_code == 404
    assert client.get(f"/admin/jobs/job/{own.pk}/inputs/..%00/").status_code == 404
