"""Pages of trainings: list, live page, cancel and finish, within the rights of their viewer."""

import html
import re
import uuid
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from access.models import BusinessSource, Membership
from console.trainings.loss_chart import chart_of
from jobs.models import Backend, InputPicture, Job, Preview, Runner, Signal, State
from jobs.training.dataset import DatasetFile
from jobs.training.submission import TrainingRequest, submit
from models_registry.models import Family, Kind, ModelFile
from tests.support.training_jobs import pink_discs

pytestmark = pytest.mark.django_db


@pytest.fixture
def job(source, key, checkpoint):
    Runner.objects.create(name="trainer", url="http://127.0.0.1:1", backend=Backend.TRAINING)
    files = [DatasetFile(f"{n}.png", data) for n, data in enumerate(pink_discs(2, side=64))]
    request = TrainingRequest(
        source=source,
        key=key,
        dialect="native",
        name="zorb",
        files=files,
        resolution=128,
        settings={"steps": 10},
    )
    return submit(request)[0]


@pytest.fixture
def tenant(sign_in, source):
    return sign_in("tenant", source)


def url(job, rest=""):
    return f"/admin/trainings/{job.pk}/{rest}"


def text_of(response) -> str:
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def test_chart_has_the_first_step_left_and_the_highest_loss_on_top():
    chart = chart_of([[0, 0.5], [5, 0.1], [10, 0.3]], 10)
    assert chart.points == "0.0,0.0 300.0,200.0 600.0,100.0"
    assert (chart.lowest, chart.highest, chart.last) == (0.1, 0.5, 0.3)
    assert chart_of([[1, 0.5]], 10) is None
    assert chart_of([[1, 0.5], [2, 0.5]], 2).points == "300.0,0.0 600.0,0.0"


def test_chart_leaves_out_the_means_of_the_first_few_steps():
    losses = [[1, 9.0], *([step, 0.5 - step / 400] for step in range(2, 101))]
    chart = chart_of(losses, 100)
    assert chart.highest == pytest.approx(0.5 - 11 / 400)
    assert chart.points.startswith("66.0,0.0 ")


def test_list_and_page_show_state_steps_and_loss(tenant, job):
    Job.objects.filter(pk=job.pk).update(state=State.RUNNING, step=4)
    job.training.losses = [[2, 0.5], [4, 0.25]]
    job.training.save()
    assert "4 / 10" in text_of(tenant.get("/admin/trainings/"))
    page = text_of(tenant.get(url(job)))
    assert f'data-live="{url(job, "live/")}"' in page
    part = text_of(tenant.get(url(job, "live/")))
    assert 'points="120.0,0.0 240.0,200.0"' in part
    assert "Finish now" in part
    assert "<html" not in part


def test_waiting_training_is_cancelled_by_its_tenant(tenant, job):
    assert "Finish now" not in text_of(tenant.get(url(job)))
    tenant.post(url(job, "cancel/"))
    job.refresh_from_db()
    assert job.state == State.CANCELLED
    page = text_of(tenant.get(url(job)))
    assert "data-live" not in page
    assert "Cancel the training" not in page


def test_running_training_is_finished_with_what_it_has(ops, job):
    Job.objects.filter(pk=job.pk).update(state=State.RUNNING, step=4)
    ops.post(url(job, "finish/"))
    job.refresh_from_db()
    assert (job.state, job.signal) == (State.RUNNING, Signal.INTERRUPT)


def test_other_tenants_see_nothing(sign_in, job):
    other = sign_in("tenant", BusinessSource.objects.create(name="other"))
    for rest in ("", "live/"):
        assert other.get(url(job, rest)).status_code == 404
    assert other.post(url(job, "cancel/")).status_code == 404
    assert other.get("/admin/trainings/?source=shop").status_code == 404
    assert "zorb" not in text_of(other.get("/admin/trainings/"))


def test_viewer_follows_and_does_not_change(sign_in, job):
    viewer = sign_in("viewer")
    assert "Cancel the training" not in text_of(viewer.get(url(job)))
    assert viewer.post(url(job, "cancel/")).status_code == 403
    job.refresh_from_db()
    assert job.state == State.QUEUED


def test_unknown_training_and_action_are_404(ops, job):
    assert ops.get(f"/admin/trainings/{uuid.uuid4()}/").status_code == 404
    assert ops.post(url(job, "explode/")).status_code == 404


def test_form_offers_trainable_bases_and_is_sent_with_the_rights_of_the_session(tenant, source, checkpoint):
    Runner.objects.create(name="trainer", url="http://127.0.0.1:1", backend=Backend.TRAINING)
    page = text_of(tenant.get("/admin/trainings/new/"))
    assert f"<option>{checkpoint.name}</option>" in page
    assert 'data-submit="/api/v1/trainings" data-quote="/api/v1/trainings/quote"' in page
    files = [SimpleUploadedFile(f"{n}.png", data) for n, data in enumerate(pink_discs(2, side=64))]
    form = {
        "name": "zorb",
        "base": checkpoint.name,
        "steps": "10",
        "alpha": "16",
        "flip": "true",
        "images": files,
    }
    sent = tenant.post("/api/v1/trainings", form, headers={"X-Atelier-Source": source.name})
    assert sent.status_code == 201, sent.content
    assert "zorb" in text_of(tenant.get(url(Job.objects.get())))


def test_viewer_has_no_form(sign_in, source):
    viewer = sign_in("viewer")
    assert "New training" not in text_of(viewer.get("/admin/trainings/"))
    assert viewer.get("/admin/trainings/new/").status_code == 403


def again(client, job):
    return text_of(client.get(f"/admin/trainings/new/?from={job.pk}"))


def test_form_of_a_training_again_has_its_settings_and_reuses_its_images(tenant, source, job, checkpoint):
    assert f"/admin/trainings/new/?from={job.pk}" in text_of(tenant.get(url(job)))
    page = again(tenant, job)
    settings = job.generation_request.training
    assert 'name="name" required maxlength="100" value="zorb-2"' in page
    assert f'name="trigger" value="{settings.trigger}"' in page
    assert f'value="{settings.steps}"' in page
    assert f'name="images_of" type="checkbox" value="{job.pk}" checked' in page
    form = {"name": "zorb-2", "base": checkpoint.name, "steps": "20", "images_of": str(job.pk)}
    sent = tenant.post("/api/v1/trainings", form, headers={"X-Atelier-Source": source.name})
    assert sent.status_code == 201, sent.content
    second = Job.objects.get(pk=sent.json()["id"]).generation_request.training
    assert second.steps == 20
    assert [(image.image.sha256, image.caption) for image in second.images] == [
        (image.image.sha256, image.caption) for image in settings.images
    ]


def test_images_that_retention_has_deleted_must_be_chosen_again(tenant, job):
    InputPicture.objects.all().delete()
    page = again(tenant, job)
    assert "no longer stored" in page
    assert "images_of" not in page


def test_training_of_another_tenant_cannot_be_trained_again(sign_in, job, checkpoint):
    source = BusinessSource.objects.create(name="other")
    other = sign_in("tenant", source)
    assert other.get(f"/admin/trainings/new/?from={job.pk}").status_code == 404
    assert other.get("/admin/trainings/new/?from=nothing").status_code == 404
    form = {"name": "theirs", "images_of": str(job.pk)}
    sent = other.post("/api/v1/trainings", form, headers={"X-Atelier-Source": source.name})
    assert (sent.status_code, sent.json()["field"]) == (422, "images_of")
    assert Job.objects.count() == 1


def test_page_of_a_model_links_to_its_training_for_those_who_see_it(sign_in, source, job):
    file = ModelFile.objects.create(
        kind=Kind.LORA, family=Family.SD15, name="zorb", path="loras/shop/zorb.safetensors"
    )
    job.training.file = file
    job.training.save()
    page = f"/admin/models_registry/modelfile/{file.pk}/change/"
    link = f'href="/admin/trainings/{job.pk}/"'
    tenant = sign_in("tenant", source)  # an operator has shared the file with all
    assert link in text_of(tenant.get(page))
    Membership.objects.update(source=BusinessSource.objects.create(name="other"))
    assert link not in text_of(tenant.get(page))


def test_waiting_training_says_why_it_waits(tenant, job, settings):
    settings.TRAINING_IDLE_S = 60.0
    Runner.objects.update(seen_at=timezone.now(), slots=1)
    Job.objects.create(source=job.source, dialect="native", state=State.RUNNING, request={})
    assert "when no image is being drawn" in text_of(tenant.get(url(job)))


def test_finished_training_leads_to_the_playground_with_its_lora(tenant, source, job):
    assert "Draw with it" not in text_of(tenant.get(url(job)))
    assert tenant.get(f"/admin/jobs/job/{job.pk}/change/").status_code == 200
    file = ModelFile.objects.create(
        kind=Kind.LORA, family=Family.SD15, name="shop/zorb", path="loras/shop/zorb.safetensors"
    )
    file.allowed_sources.add(source)
    job.training.file = file
    job.training.save()
    Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED, step=10)
    page = text_of(tenant.get(url(job)))
    assert "/admin/playground/?source=shop&prompt=&lora=shop%2Fzorb&width=128&height=128" in page


def test_file_is_downloaded_by_its_tenant_unless_operators_forbid_it(
    sign_in, tenant, source, job, settings, tmp_path
):
    settings.MODELS_ROOT = tmp_path
    assert tenant.get(url(job, "file/")).status_code == 404
    assert "Download the file" not in text_of(tenant.get(url(job)))
    (tmp_path / "zorb.safetensors").write_bytes(b"weights")
    file = ModelFile.objects.create(kind=Kind.LORA, family=Family.SD15, name="zorb", path="zorb.safetensors")
    file.allowed_sources.add(source)
    job.training.file = file
    job.training.save()
    Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED, step=10)
    assert url(job, "file/") in text_of(tenant.get(url(job)))
    assert b"".join(tenant.get(url(job, "file/")).streaming_content) == b"weights"
    source.trained_file_downloads = False
    source.save()
    assert tenant.get(url(job, "file/")).status_code == 404
    assert "Downloads of trained models are disabled" in text_of(tenant.get(url(job)))
    BusinessSource.objects.update(trained_file_downloads=True)
    Membership.objects.filter(source=source).update(source=BusinessSource.objects.create(name="other"))
    assert tenant.get(url(job, "file/")).status_code == 404
    assert sign_in("viewer").get(url(job, "file/")).status_code == 403


def test_running_training_shows_its_newest_samples_to_those_who_see_images(tenant, source, job):
    Job.objects.filter(pk=job.pk).update(state=State.RUNNING, step=4)
    assert url(job, "preview/") not in text_of(tenant.get(url(job, "live/")))
    Preview.objects.create(job=job, jpeg=b"jpeg")
    assert url(job, "preview/?step=4") in text_of(tenant.get(url(job, "live/")))
    assert tenant.get(url(job, "preview/")).content == b"jpeg"
    Membership.objects.filter(source=source).update(source=BusinessSource.objects.create(name="other"))
    assert tenant.get(url(job, "preview/")).status_code == 404


def test_paused_training_says_so_and_can_still_be_finished(tenant, job, settings):
    Job.objects.filter(pk=job.pk).update(step=4, steps=10)
    now = timezone.localtime()
    settings.TRAINING_HOURS = tuple((now + timedelta(hours=hours)).time() for hours in (2, 3))
    Runner.objects.update(seen_at=timezone.now(), slots=1)
    page = text_of(tenant.get(url(job)))
    assert "zorb: paused" in page
    assert "paused at step 4 of 10, and will go on from there. Trainings run at other times" in page
    assert "paused" in text_of(tenant.get("/admin/trainings/"))
    tenant.post(url(job, "finish/"))
    job.refresh_from_db()
    assert (job.state, job.signal) == (State.QUEUED, Signal.INTERRUPT)


def test_training_again_keeps_settings_that_the_form_does_not_show(tenant, source, checkpoint):
    Runner.objects.create(name="trainer", url="http://127.0.0.1:1", backend=Backend.TRAINING)
    files = [DatasetFile(f"{n}.png", data) for n, data in enumerate(pink_discs(2, side=64))]
    settings = {"steps": 10, "schedule": "linear", "min_snr_gamma": 0.0, "gradient_checkpointing": True}
    job = submit(TrainingRequest(source, None, "native", "zorb", files, clip_skip=2, settings=settings))[0]
    page = again(tenant, job)
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
    hidden.pop("csrfmiddlewaretoken", None)
    form = {"name": "zorb-2", "base": checkpoint.name, "steps": "10", "images_of": str(job.pk), **hidden}
    sent = tenant.post("/api/v1/trainings", form, headers={"X-Atelier-Source": source.name})
    assert sent.status_code == 201, sent.content
    second = Job.objects.get(pk=sent.json()["id"]).generation_request
    assert second.clip_skip == 2
    for name, value in settings.items():
        assert getattr(second.training, name) == value
