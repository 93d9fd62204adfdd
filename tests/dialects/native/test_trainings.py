"""/api/v1/trainings: what is admitted, and what is refused before anything is stored or held."""

import base64
import io
import zipfile

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import encode_multipart

from access.models import Posting
from jobs.admission.rerun import retry
from jobs.models import Backend, InputPicture, Job, Lane, Runner, Training
from models_registry.models import Family, Kind, ModelFile
from tests.support.training_jobs import pink_discs

pytestmark = pytest.mark.postgres

FILES = pink_discs(3, side=64)
URIS = [{"image": base64.b64encode(data).decode(), "caption": "a disc"} for data in FILES]
ROUTE = "trainings"


@pytest.fixture
def trainer(checkpoint):
    return Runner.objects.create(name="trainer", url="http://127.0.0.1:1", backend=Backend.TRAINING)


@pytest.fixture(autouse=True)
def _nothing_reaches_a_trainer(trainer):
    pass


def body(**changes):
    return {"name": "zorb", "images": URIS, "resolution": 128, "steps": 10, **changes}


def refused(alice, **changes):
    """The problem document of a request that stores and holds nothing."""
    response = alice.post(ROUTE, body(**changes))
    assert 400 <= response.status_code < 500, response.content
    assert not Job.objects.exists()
    assert not Posting.objects.exists()
    assert not InputPicture.objects.exists()
    return response.json()


def test_training_is_a_job_of_the_bulk_lane_priced_by_its_steps(alice):
    response = alice.post(ROUTE, body(batch_size=2, trigger="zorb"))
    assert response.status_code == 201, response.content
    job = Job.objects.get()
    assert (job.backend, job.lane, job.steps) == (Backend.TRAINING, Lane.BULK, 10)
    assert float(job.cost_estimate) == pytest.approx(10 * 2 * 3 * 128 * 128 / 1e6)
    assert response.json()["cost"] == float(job.cost_estimate)
    training = job.generation_request.training
    assert training.captions() == ["zorb, a disc"] * 3
    assert training.license == "trained here from shapes (unknown license)"
    assert InputPicture.objects.count() == 3
    assert alice.get(ROUTE).json()["items"][0]["id"] == str(job.pk)


def test_quote_has_the_price_of_the_training_and_stores_nothing(alice):
    quoted = alice.post("trainings/quote", body()).json()
    assert quoted["accepted"], quoted
    assert not InputPicture.objects.exists()
    assert alice.post(ROUTE, body()).json()["cost"] == quoted["cost"]


def test_form_takes_files_and_an_archive(alice):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.png", FILES[0])
        archive.writestr("a.txt", "a disc")
    files = [SimpleUploadedFile(f"{n}.png", data, "image/png") for n, data in enumerate(FILES[1:])]
    packed.seek(0)
    form = {
        "name": "zorb",
        "resolution": "128",
        "steps": "10",
        "flip": "true",
        "images": files,
        "archive": packed,
    }
    response = alice.client.post("/api/v1/trainings", form)
    assert response.status_code == 201, response.content
    training = Job.objects.get().generation_request.training
    assert training.flip
    assert [image.caption for image in training.images] == ["", "", "a disc"]


def test_form_with_more_images_than_a_training_may_have_is_refused_by_name(alice):
    def sent(count: int) -> dict:
        many = [SimpleUploadedFile(f"{n}.png", FILES[0]) for n in range(count)]
        response = alice.client.post("/api/v1/trainings", {"name": "zorb", "images": many})
        return {"status": response.status_code, **response.json()}

    assert sent(500)["detail"] == "A training needs 2 to 200 images (got 500)."
    assert sent(501)["status"] == 413
    assert sent(501)["detail"] == "A form must have at most 500 files."
    told = alice.client.post(
        "/api/v1/trainings", "name=zorb", content_type="application/x-www-form-urlencoded"
    )
    assert told.json()["detail"] == "Send application/json or multipart/form-data."


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"images": []}, "images"),
        ({"images": URIS[:1]}, "images"),
        ({"images": URIS[:1] * 500}, "images"),
        ({"images": [*URIS, URIS[0]]}, "images"),
        ({"images": [{"image": "http://10.0.0.1/a.png"}] * 2}, "images"),
        ({"images": [{"image": "0" * 64}] * 2}, "images"),
        ({"images": [], "archive": "UEsDBA=="}, "archive"),
        ({"images": [], "archive": "http://127.0.0.1:1/a.zip"}, "archive"),
        ({"base": "nowhere"}, "base"),
        ({"name": "../a"}, "name"),
        ({"name": ""}, "name"),
        ({"steps": 5001}, "steps"),
        ({"steps": 10, "epochs": 2}, "epochs"),
        ({"warmup_steps": 20_001}, "warmup_steps"),
        ({"resolution": 129}, "resolution"),
        ({"learning_rate": 0}, None),
        ({"callback_url": "http://127.0.0.1/hook"}, "callback_url"),
        ({"rank": 0}, "rank"),
        ({"surprise": 1}, "surprise"),
    ],
    ids=lambda value: None if isinstance(value, dict) else str(value),
)
def test_bad_training_is_refused_by_field_and_nothing_is_held(alice, changes, field):
    assert refused(alice, **changes).get("field") == field


def test_problems_of_files_are_listed_with_their_names(alice):
    bad = refused(alice, images=[*URIS, URIS[1], {"image": base64.b64encode(b"no image").decode()}])
    assert bad["code"] == "bad_dataset"
    assert [error["loc"] for error in bad["errors"]] == [["images.4"]]


@pytest.mark.parametrize(
    "changes",
    [{"family": Family.FLUX1}, {"without_vae": True}, {"instruct": True}, {"path": "checkpoints/a.gguf"}],
    ids=["family", "vae", "instruct", "quantized"],
)
def test_untrainable_base_is_refused(alice, checkpoint, changes):
    ModelFile.objects.filter(pk=checkpoint.pk).update(**changes)
    assert refused(alice)["field"] == "base"


def test_limits_of_source_and_key_apply(alice, source):
    source.max_training_images = 2
    source.save()
    assert refused(alice)["field"] == "images"
    source.max_training_images, source.trainings_per_month = 200, 0
    source.save()
    assert refused(alice)["code"] == "quota_exhausted"
    source.trainings_per_month, source.total_budget = None, 0
    source.save()
    assert refused(alice)["code"] == "budget_exhausted"


def test_trainings_of_the_month_are_counted(alice, source):
    source.trainings_per_month = 1
    source.save()
    assert alice.post(ROUTE, body()).status_code == 201
    assert alice.post(ROUTE, body(name="second")).json()["code"] == "quota_exhausted"
    alice.post(f"trainings/{Job.objects.get().pk}/cancel")
    assert alice.post(ROUTE, body(name="second")).status_code == 201


def test_name_of_a_known_lora_or_of_a_training_under_way_is_taken(alice):
    ModelFile.objects.create(kind=Kind.LORA, family=Family.SD15, name="night", path="loras/night.safetensors")
    assert refused(alice, name="night")["code"] == "model_exists"
    alice.post(ROUTE, body())
    assert alice.post(ROUTE, body()).json()["code"] == "model_exists"


def test_without_a_trainer_nothing_is_admitted(alice, trainer):
    trainer.delete()
    assert "trainer" in refused(alice)["detail"]


def test_training_task_of_a_job_request_is_refused_by_name(alice):
    images = [{"image": f"data:image/png;base64,{uri['image']}"} for uri in URIS]
    response = alice.post("jobs", {"task": "train_lora", "training": {"images": images}})
    assert (response.status_code, response.json()["field"]) == (422, "task")


def test_cancelled_queued_training_frees_its_name_and_has_no_model(alice):
    view = alice.post(ROUTE, body()).json()
    ended = alice.post(f"trainings/{view['id']}/cancel").json()
    assert (ended["state"], ended["model"], ended["cost"]) == ("cancelled", None, 0)
    assert Training.objects.count() == 1
    assert alice.post(ROUTE, body()).status_code == 201


def test_cancelled_training_can_be_retried_with_its_images_and_name(alice):
    alice.post(ROUTE, body())
    job = Job.objects.get()
    alice.post(f"trainings/{job.pk}/cancel")
    job.refresh_from_db()
    again = retry(job)
    assert again.training.name == "zorb"
    assert (again.backend, again.request["training"]) == (job.backend, job.request["training"])


def test_form_with_an_idempotency_key_may_be_larger_than_other_bodies(alice, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 512  # the default is below that of a data set, too

    def send(**changes):
        noise = pink_discs(3, side=96)
        files = [SimpleUploadedFile(f"{n}.png", data, "image/png") for n, data in enumerate(noise)]
        form = {"name": "zorb", "resolution": "128", "steps": "10", "images": files, **changes}
        boundary = f"boundary-{Job.objects.count()}"
        content = encode_multipart(boundary, form)
        assert len(content) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        content_type = f"multipart/form-data; boundary={boundary}"
        return alice.client.post(
            "/api/v1/trainings", content, content_type=content_type, headers={"Idempotency-Key": "once"}
        )

    first, second = send(), send()
    assert (first.status_code, second.status_code) == (201, 200), second.content
    assert first.json()["id"] == second.json()["id"]
    assert len(Job.objects.get().generation_request.training.images) == 3
    assert send(steps="11").json()["code"] == "idempotency_conflict"
    assert send(images=[SimpleUploadedFile("other.png", pink_discs(3, side=99)[2])] * 2).status_code == 409


def test_images_without_a_caption_get_tags_if_there_is_a_tagger(alice):
    assert refused(alice, captions="tags")["field"] == "captions"
    assert refused(alice, captions="tags", tagger="nowhere")["field"] == "tagger"
    assert "captions=tags" in refused(alice, tagger="wd")["errors"][0]["msg"]
    ModelFile.objects.create(
        kind=Kind.TAGGER, name="wd", path="taggers/wd.onnx", sha256="ab" * 32, is_default=True
    )
    response = alice.post(ROUTE, body(captions="tags", tag_threshold=0.5))
    assert response.status_code == 201, response.content
    job = Job.objects.get()
    assert (job.generation_request.training.tagger, job.generation_request.training.tag_threshold) == (
        "wd",
        0.5,
    )
    assert job.files["tagger:wd"]["path"] == "taggers/wd.onnx"


def test_text_encoders_of_transformers_are_not_trained(alice, checkpoint):
    ModelFile.objects.filter(pk=checkpoint.pk).update(family=Family.SD3)
    assert refused(alice, text_encoder_learning_rate=1e-5)["field"] == "text_encoder_learning_rate"
