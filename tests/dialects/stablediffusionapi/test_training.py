"""Trainings: lora_fine_tune, fine_tune, fine_tune_v2, and what follows them."""

import base64

import pytest
from django.utils import timezone

from access.models import Posting
from dialects.stablediffusionapi import callbacks
from dialects.stablediffusionapi.training import sandbox
from jobs.models import Backend, Job, Runner, State
from jobs.models.callback import Callback
from models_registry.models import Family, Kind, ModelFile
from tests.support.training_jobs import pink_discs
from tests.support.web_server import answer

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

FILES = pink_discs(3, side=64)
IMAGES = ["data:image/png;base64," + base64.b64encode(data).decode() for data in FILES]


@pytest.fixture(autouse=True)
def trainer(checkpoint):
    return Runner.objects.create(name="trainer", url="http://127.0.0.1:1", backend=Backend.TRAINING)


def body(**changes):
    given = {"instance_prompt": "zorb", "class_prompt": "a disc", "images": IMAGES, "max_train_steps": "6"}
    return given | changes


def started(alice, path="v3/lora_fine_tune", **changes):
    """Response to a training that must be admitted, and its job."""
    response = alice.call(path, **body(**changes))
    assert (response["status"], response["message"]) == ("success", "deploying_gpu"), response
    return response, Job.objects.get(external_id=response["training_id"])


def end(job, state, *, with_model=False):
    """End a job as its trainer would."""
    Job.objects.filter(pk=job.pk).update(state=state, finished_at=timezone.now())
    if with_model:
        name = job.training.name
        file = ModelFile.objects.create(
            kind=Kind.LORA, family=Family.SD15, name=name, path=f"loras/{name}.safetensors"
        )
        file.allowed_sources.add(job.source)
        job.training.file = file
        job.training.losses = [[6, 0.25]]
        job.training.save()


def status(caller, training_id):
    return caller.call(f"v3/fine_tune_status/{training_id}")


@pytest.mark.parametrize(
    ("path", "more", "steps"),
    [
        ("v3/lora_fine_tune", {"training_type": "null", "lora_type": "lora"}, 6),
        ("v3/lora_fine_tune", {"base_model_type": "normal"}, 6),
        ("v3/fine_tune", {"base_model_id": "shapes"}, 6),
        ("v3/fine_tune_v2", {"base_model_id": "shapes", "steps_unet": "9", "learning_rate_unet": "3e-6"}, 9),
    ],
    ids=["lora", "type", "v1", "v2"],
)
def test_request_becomes_a_training(alice, path, more, steps):
    _response, job = started(alice, path, **more)
    training = job.generation_request.training
    assert (job.backend, job.operation, training.steps) == (Backend.TRAINING, path, steps)
    assert (training.trigger, training.class_prompt, len(training.images)) == ("zorb", "a disc", 3)
    assert job.generation_request.checkpoint == "shapes"
    if path.endswith("v2"):
        assert (training.learning_rate, training.text_encoder_learning_rate) == (3e-6, 1e-6)


def test_images_are_downloaded(alice, web):
    for number, data in enumerate(FILES):
        web.answers[f"/{number}.png"] = answer(200, data)
    _response, job = started(alice, images=[web.url(f"/{number}.png") for number in range(3)])
    assert len(job.generation_request.training.images) == 3


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"images": None}, "images"),
        ({"images": IMAGES[:1]}, "images"),
        ({"images": [IMAGES[0], IMAGES[0]]}, "images"),
        ({"images": {"a": 1}}, "images"),
        ({"images": ["data:image/png;base64,AAAA", IMAGES[0]]}, "images.0"),
        ({"instance_prompt": ""}, "instance_prompt"),
        ({"class_prompt": None}, "class_prompt"),
        ({"max_train_steps": "2001"}, "max_train_steps"),
        ({"max_train_steps": "many"}, "max_train_steps"),
        ({"training_type": "dragon"}, "training_type"),
        ({"lora_type": "lycoris"}, "lora_type"),
        ({"base_model_type": "sdxl"}, "base_model_type"),
        ({"webhook": "http://127.0.0.1/hook"}, "webhook"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
@pytest.mark.parametrize("folder", ["v3", "sandbox/v3"])
def test_bad_request_is_refused_by_field_and_nothing_is_held(alice, folder, changes, field):
    response = alice.call(f"{folder}/lora_fine_tune", **body(**changes))
    assert response["status"] == "error"
    assert list(response["message"]) == [field]
    assert not Job.objects.exists()
    assert not Posting.objects.exists()


def test_unknown_base_and_unreachable_image_are_told(alice):
    assert "base_model_id" in alice.call("v3/fine_tune", **body(base_model_id="nowhere"))["message"]
    response = alice.call("v3/fine_tune", **body(images=["http://10.0.0.1/a.png", *IMAGES]))
    assert (response["status"], response["message"]) == ("error", "Unable to fetch image from provided URL")
    assert response["tip"].startswith("images.0: ")
    assert not Job.objects.exists()


def test_without_a_trainer_the_reason_is_told(alice, trainer):
    trainer.delete()
    assert "trainer" in alice.call("v3/lora_fine_tune", **body())["message"]


def test_fields_without_effect_are_told(alice):
    tip = started(alice, negative_prompt="blurry", training_type="men", wandb_key="x")[0]["tip"]
    assert all(name in tip for name in ("negative_prompt", "training_type", "wandb_key"))


def test_states_follow_the_job(alice):
    response, job = started(alice)
    assert status(alice, response["training_id"])["message"] == "deploying_gpu"
    Job.objects.filter(pk=job.pk).update(state=State.RUNNING, step=2)
    assert status(alice, response["training_id"])["message"] == "training_started"
    end(job, State.SUCCEEDED, with_model=True)
    ready = status(alice, response["training_id"])
    assert ready["messege"] == ready["message"] == "model_ready"
    assert "loss 0.2500" in ready["data"]
    assert ready["data"].endswith("Model loaded successfully")


def test_trained_model_is_drawn_with_by_its_id_and_listed(alice):
    response, job = started(alice)
    end(job, State.SUCCEEDED, with_model=True)
    name = response["training_id"]
    request = alice.request("v4/dreambooth", model_id="shapes", lora_model=name)
    assert [lora.name for lora in request.loras] == [name]
    (row,) = alice.call("v3/finetune_list")["data"]
    assert (row["model_id"], row["status"], row["instance_prompt"]) == (name, "model_ready", "zorb")


def test_other_sources_see_nothing_of_a_training(alice, charlie):
    training_id = started(alice)[0]["training_id"]
    for path in ("fine_tune_status", "cancle_training", "finetune/delete"):
        assert charlie.call(f"v3/{path}/{training_id}")["message"] == "Training not found"
    assert charlie.call("v3/finetune_list")["data"] == []


@pytest.mark.parametrize("path", ["cancle_training", "cancel_training"])
def test_cancelled_training_costs_nothing_while_it_waits(alice, path):
    training_id = started(alice)[0]["training_id"]
    assert alice.call(f"v3/{path}/{training_id}")["status"] == "success"
    job = Job.objects.get()
    assert (job.state, job.cost) == (State.CANCELLED, 0)
    assert status(alice, training_id)["message"] == "training_cancelled"
    assert alice.call(f"v3/{path}/{training_id}")["status"] == "error"


def test_model_can_be_deleted_once_it_is_there(alice):
    training_id = started(alice)[0]["training_id"]
    assert "no model" in alice.call(f"v3/finetune/delete/{training_id}")["message"]


@pytest.mark.parametrize(
    ("state", "told"), [(State.SUCCEEDED, "model_ready"), (State.FAILED, "training_failed")]
)
def test_webhook_has_the_last_state(alice, web, state, told):
    response, job = started(alice, webhook=web.url("/hook"), track_id=7)
    end(job, state, with_model=state == State.SUCCEEDED)
    sent = callbacks.body(Callback.objects.get())
    assert (sent["training_status"], sent["model_id"], sent["track_id"]) == (told, response["training_id"], 7)


def test_training_is_no_generated_image_and_no_request_to_fetch(alice):
    started(alice)
    assert alice.call("v3/assets_generated")["data"] == []


def test_sandbox_goes_through_all_states_and_trains_nothing(alice, monkeypatch):
    now = 1_800_000_000.0
    monkeypatch.setattr(sandbox.time, "time", lambda: now)
    response = alice.call("sandbox/v3/fine_tune", **body())
    assert (response["status"], response["message"]) == ("success", "deploying_gpu")
    seen = []
    for _state in range(9):
        seen.append(alice.call(f"sandbox/v3/fine_tune_status/{response['training_id']}")["message"])
        now += sandbox.STATE_S
    assert tuple(seen) == (*sandbox.STATES, "model_ready")
    assert not Job.objects.exists()
    assert status(alice, response["training_id"])["message"] == "Training not found"
