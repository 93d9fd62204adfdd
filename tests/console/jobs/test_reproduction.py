"""Capsules and reproductions in the console: download, buttons, form, comparison and tenant isolation."""

import io
import json

import pytest
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from jobs.admission.admit import admit
from jobs.models import Job, Output, Reproduction, State

pytestmark = pytest.mark.slow


def png(color: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), color).save(file, "PNG")
    return file.getvalue()


def page(job: Job, *rest: str) -> str:
    return "/".join(["/admin/jobs/job", str(job.pk), *rest, ""])


@pytest.fixture
def finish():
    """Ends a job with one image of a color."""

    def finish(job: Job, color: str, sha256: str = "a" * 64) -> Job:
        size = {"width": 64, "height": 64, "size_bytes": 1}
        output = Output(job=job, index=0, sha256=sha256, seed=job.generation_request.seed, **size)
        output.file.save(f"{job.pk}.png", ContentFile(png(color)))
        environment = {"version": "1", "protocol": 1, "device": color}
        Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED, environment=environment)
        return Job.objects.get(pk=job.pk)

    return finish


@pytest.fixture
def job(submission, finish) -> Job:
    return finish(admit(submission(prompt="a red circle")), "#100000")


def reproduction_of(job: Job) -> Job:
    return Reproduction.objects.get(capsule__job=str(job.pk)).job


def test_capsule_can_be_downloaded(ops, job):
    response = ops.get(page(job, "pictures", "0", "capsule"))
    assert response["Content-Disposition"] == f'attachment; filename="capsule-{job.pk}-0.json"'
    assert response.json()["job"] == str(job.pk)
    assert page(job, "pictures", "0", "capsule") in ops.get(page(job, "change")).content.decode()


def test_button_reproduces_an_output_and_the_new_page_compares(ops, job, finish):
    text = ops.post(page(job, "pictures", "0", "reproduce"), follow=True).content.decode()
    assert "The images are compared when the job has succeeded." in text
    new = reproduction_of(job)
    assert (new.repeats, new.source, new.key) == (job, job.source, job.key)
    finish(new, "#110000", "b" * 64)
    text = ops.get(page(new, "change")).content.decode()
    assert "largest 1, PSNR 52.9 dB; 100.000 % of the pixels differ." in text
    assert "<code>device</code></td><td>#100000</td><td>#110000</td>" in text
    picture = Image.open(io.BytesIO(ops.get(page(new, "reproduction", "difference")).content))
    assert picture.getpixel((3, 3)) == (255, 0, 0)
    assert ops.get(page(new, "reproduction", "original")).content == png("#100000")
    assert ops.get(page(new, "reproduction", "other")).status_code == 404


def test_form_takes_the_capsule_of_another_installation(ops, job, other_source, finish):
    capsule = ops.get(page(job, "pictures", "0", "capsule")).content
    Job.objects.all().delete()
    form = {
        "capsule": SimpleUploadedFile("a.json", capsule),
        "original": SimpleUploadedFile("a.png", png("#100000")),
        "source": other_source.pk,
    }
    assert ops.post("/admin/jobs/job/reproduce/", form).status_code == 302
    new = reproduction_of(job)
    assert (new.source, new.key.source) == (other_source, other_source)
    finish(new, "#100000")
    assert "The same file" in ops.get(page(new, "change")).content.decode()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{", "This is not a capsule"),
        (b"{}", "Field required"),
        (b"[" * 2_000_000, "at most 1 MiB"),
        (None, "is not available"),
    ],
)
def test_form_says_what_is_wrong_with_a_capsule(ops, job, checkpoint, source, content, told):
    capsule = content or ops.get(page(job, "pictures", "0", "capsule")).content
    type(checkpoint).objects.update(sha256="f" * 64)
    form = {"capsule": SimpleUploadedFile("a.json", capsule), "source": source.pk}
    response = ops.post("/admin/jobs/job/reproduce/", form)
    assert response.status_code == 200
    assert told in response.content.decode()
    assert not Reproduction.objects.exists()


def test_capsule_with_nul_is_none(ops, job, source):
    capsule = json.loads(ops.get(page(job, "pictures", "0", "capsule")).content)
    capsule["request"]["prompt"] = "a\0"
    form = {"capsule": SimpleUploadedFile("a.json", json.dumps(capsule).encode()), "source": source.pk}
    assert "NUL" in ops.post("/admin/jobs/job/reproduce/", form).content.decode()


def test_tenant_reproduces_for_own_sources_only(sign_in, job, source, other_source):
    tenant = sign_in("tenant", other_source)
    for path in (("pictures", "0", "capsule"), ("reproduction", "original")):
        assert tenant.get(page(job, *path)).status_code == 404
    assert tenant.post(page(job, "pictures", "0", "reproduce")).status_code in (403, 404)
    assert "shop" not in tenant.get("/admin/jobs/job/reproduce/").content.decode()


def test_viewers_have_no_button(client, django_user_model, job):
    user = django_user_model.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(
        type(user).user_permissions.field.related_model.objects.filter(codename="view_job")
    )
    client.force_login(user)
    assert page(job, "pictures", "0", "reproduce") not in client.get(page(job, "change")).content.decode()
    assert client.post(page(job, "pictures", "0", "reproduce")).status_code == 403
    assert client.get("/admin/jobs/job/reproduce/").status_code == 403
