"""Input images: uploads, data URIs, and references by hash."""

import base64

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from jobs.models import InputPicture, Job
from tests.support.input_images import UNUSABLE, file_of, quarters

pytestmark = pytest.mark.slow


def img2img(alice, reference: object):
    body = {"task": "img2img", "init_images": [reference], "width": 64, "height": 64}
    return alice.post("jobs", body)


def test_uploaded_image_is_referenced_by_its_hash(alice, image):
    first, again = alice.upload(image), alice.upload(image)
    assert (first.status_code, again.status_code) == (201, 200)
    response = img2img(alice, first.json()["sha256"])
    assert response.status_code == 201
    assert response.json()["request"]["init_images"] == [first.json()]


def test_upload_may_be_a_form(alice, image):
    file = SimpleUploadedFile("red.png", image, "image/png")
    response = alice.client.post("/api/v1/pictures", {"file": file})
    assert response.status_code == 201


def test_data_uri_is_stored_as_a_file(alice, data_uri, image):
    response = img2img(alice, data_uri)
    assert response.status_code == 201
    job = Job.objects.get()
    assert "base64" not in str(job.received) + str(job.request)
    assert InputPicture.objects.get().pk == job.request["init_images"][0]["sha256"]
    assert img2img(alice, job.request["init_images"][0]).status_code == 201


@pytest.mark.parametrize("prefix", ["data:;base64,", "data:image/png;charset=utf-8;base64,\n"])
def test_data_uri_may_lack_the_type_or_have_parameters(alice, image, prefix):
    text = prefix + base64.encodebytes(image).decode()
    body = {"task": "img2img", "init_images": [text], "prompt": "a red circle"}
    assert alice.post("quote", body).json()["accepted"] is True


def test_data_uris_are_found_in_every_image_field(alice, data_uri):
    body = {"task": "img2img", "init_images": [data_uri], "inpaint": {"mask": data_uri}}
    response = alice.post("jobs", body)
    assert response.status_code == 201
    assert response.json()["request"]["inpaint"]["mask"] == response.json()["request"]["init_images"][0]


def test_data_uri_in_a_prompt_is_text(alice, data_uri):
    assert alice.submit(prompt=data_uri).request["prompt"] == data_uri


def test_image_of_another_tenant_cannot_be_referenced(alice, charlie, image):
    digest = alice.upload(image).json()["sha256"]
    response = img2img(charlie, digest)
    assert (response.status_code, response.json()["code"]) == (422, "bad_picture")
    assert charlie.post("quote", {"task": "img2img", "init_images": [digest]}).json()["accepted"] is False


@pytest.mark.parametrize(
    ("data", "content_type", "status"),
    [
        (b"not an image", "image/png", 422),
        (b"anything", "text/plain", 415),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x", 422),
        (b"anything", "multipart/form-data", 400),
    ],
)
def test_upload_that_is_no_image_is_refused(alice, data, content_type, status):
    response = alice.upload(data, content_type)
    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")
    assert not InputPicture.objects.exists()


def test_form_that_is_too_large_is_refused(alice, settings, image):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    file = SimpleUploadedFile("red.png", image, "image/png")
    assert alice.client.post("/api/v1/pictures", {"file": file}).status_code == 413


def test_form_without_a_boundary_is_refused(alice):
    response = alice.client.generic("POST", "/api/v1/pictures", b"--x", content_type="multipart/form-data")
    assert (response.status_code, response.json()["code"]) == (400, "malformed_body")


def test_error_of_an_upload_has_no_field(alice):
    body = alice.upload(b"hello").json()
    assert (body["code"], "field" in body) == ("bad_picture", False)


@pytest.mark.parametrize(("data", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_refusal_says_which_image_and_why(alice, data, reason):
    usable, unusable = (
        "data:image/png;base64," + base64.b64encode(file).decode() for file in (file_of(quarters()), data)
    )
    problem = alice.post(
        "jobs", {"task": "img2img", "init_images": [usable], "inpaint": {"mask": unusable}}
    ).json()
    assert (problem["code"], problem["field"]) == ("bad_picture", "inpaint.mask")
    assert reason in problem["detail"]
    both = {"task": "img2img", "init_images": [usable, unusable], "num_images": 2}
    assert alice.post("jobs", both).json()["field"] == "init_images.1"
    assert alice.post("quote", both).json()["accepted"] is False
