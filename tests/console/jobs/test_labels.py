"""The page that reads the labels of an uploaded image."""

import base64

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from gpu_runner.protocol import Image as RunnerImage
from jobs.admission.admit import admit
from jobs.images import storage
from tests.support.fake_runner import png

PAGE = "/admin/labels/"


@pytest.fixture
def drawn(submission, settings):
    settings.CONTENT_PRODUCER = "the provider"
    job = admit(submission())
    image = RunnerImage(index=0, data=base64.b64encode(png(64, 64)).decode(), width=64, height=64, seed=1)
    output = storage.store_output(job, job.generation_request, image, "")
    output.save()
    return output


def sent(client, data: bytes):
    return client.post(PAGE, {"file": SimpleUploadedFile("a.png", data)})


def test_labels_and_the_job_are_shown(ops, drawn):
    html = sent(ops, storage.read_output(drawn)).content.decode()
    assert "the provider" in html
    assert f"/admin/jobs/job/{drawn.job_id}/" in html


def test_tenants_do_not_find_jobs_of_others(sign_in, drawn, other_source):
    client = sign_in("tenant", other_source)
    html = sent(client, storage.read_output(drawn)).content.decode()
    assert f"/admin/jobs/job/{drawn.job_id}/" not in html
    assert "No job that you may see" in html


def test_a_file_that_is_no_image_is_an_error_of_the_form(ops):
    response = sent(ops, b"no image")
    assert response.status_code == 200
    assert "not an image file" in response.content.decode()


def test_empty_form_and_first_visit(ops):
    assert ops.get(PAGE).status_code == 200
    assert "required" in ops.post(PAGE, {}).content.decode()
