"""Trainings: submission, query, callback, and the trained LoRA in the next request."""

import json
import re

import pytest
from django.utils import timezone

from access.models import Posting
from jobs.models import Backend, InputPicture, Job, Runner, State
from jobs.outbound.callbacks import outbox
from models_registry.models import Family, Kind, ModelFile
from tests.dialects.zhiqite.conftest import PREFIX, generation_body, png
from tests.support.job_curl import commands
from tests.support.receiving_server import YES
from tests.support.receiving_server import work as call_back
from tests.support.web_server import answer

pytestmark = pytest.mark.slow

SUBMIT, QUERY = "modelTraining/submitTraining/Job", "modelTraining/queryTraining/Job"


@pytest.fixture(autouse=True)
def trainer(checkpoint):
    return Runner.objects.create(name="trainer", url="http://127.0.0.1:1", backend=Backend.TRAINING)


@pytest.fixture
def urls(web) -> list[str]:
    for number in range(10):
        web.answers[f"/{number}.png"] = answer(200, png(64 + number, 64))
    return [web.url(f"/{number}.png") for number in range(10)]


@pytest.fixture
def start(alice, urls):
    def start(**changes) -> Job:
        envelope = alice.post(SUBMIT, {"taskId": "zorb", "fileUrlList": urls, **changes})
        assert envelope["code"] == "200", envelope
        return Job.objects.get(external_id=envelope["data"]["task_id"])

    return start


def end(job: Job, state: State) -> None:
    """End a job as its trainer would."""
    Job.objects.filter(pk=job.pk).update(state=state, finished_at=timezone.now(), images_done=1)
    if state == State.SUCCEEDED:
        path = f"loras/{job.source.name}/zorb-1a2b.safetensors"
        file = ModelFile.objects.create(
            kind=Kind.LORA, family=Family.SD15, name="zorb", path=path, trigger_words="zorb"
        )
        file.allowed_sources.add(job.source)
        job.training.file, job.training.losses = file, [[6, 0.25]]
        job.training.save()


def test_settings_of_the_vendors_example_are_trained_with(start, alice, urls):
    # The vendor's example mixes both spellings, and has numbers for booleans and text for rates.
    example = {"max_epochs": 20, "batch_size": 2, "learning_rate": "0.0001", "max_token_length": 225}
    example |= {"clip_skip": 2, "random_crop": 0, "repeats": 10, "mixedPrecision": "bf16", "seed": 1234}
    example |= {"lrScheduler": "constant", "lrWarmupSteps": 0, "optimizerType": "Lion", "resolution": 384}
    example |= {"textEncoderLr": "5e-05", "unetLr": "0.0001", "networkDim": 128, "networkAlpha": 64}
    example |= {"networkModule": "networks.lora", "flipAug": 1, "gradientAccumulationSteps": 2}
    job = start(**example)
    request = job.generation_request
    training = request.training
    assert (job.backend, request.width, request.seed, request.clip_skip) == (Backend.TRAINING, 384, 1234, 2)
    assert (training.steps, training.batch_size) == (20 * 10 * 10 // 4, 4)
    assert (training.learning_rate, training.text_encoder_learning_rate) == (1e-4, 5e-5)
    assert (training.rank, training.alpha, training.schedule, training.flip) == (128, 64, "constant", True)
    assert training.captions() == ["zorb"] * 10
    note = alice.post(SUBMIT, {"taskId": "b", "fileUrlList": urls, **example})["data"]["note"]
    assert note == "no effect: mixedPrecision, optimizerType"


def test_query_follows_the_training_and_names_its_lora(alice, bob, charlie, start):
    job = start(seed=7)
    assert alice.post(QUERY, {"taskId": "zorb"})["data"]["status"] == 1
    Job.objects.filter(pk=job.pk).update(state=State.RUNNING, step=20)
    assert (
        alice.post(QUERY, {"businessTaskId": "zorb"})["data"].items()
        >= {
            "status": 3,
            "currentStep": 20,
            "sdLoraName": None,
        }.items()
    )
    end(job, State.SUCCEEDED)
    found = alice.post(QUERY, {"taskId": "zorb"})["data"]
    told = {"status": 2, "progress": 1.0, "loss": 0.25, "sdLoraName": "zorb", "modelTriggerWords": "zorb"}
    assert found.items() >= told.items()
    assert "/trained/" in found["modelUrl"]
    assert found["modelUrlNote"] is None
    row = alice.post("sd/v2/queryLoraList", {"pageSize": 10, "pageNum": 1})["data"]["rows"][0]
    assert row["sdLoraFileSimplifyName"] == found["sdLoraFileSimplifyName"] == "zorb-1a2b"
    for stranger in (bob, charlie):
        assert stranger.post(QUERY, {"taskId": "zorb"})["msg"] == "Task not found."
    assert alice.post("sd/v2/queryTaskInfo", {"businessTaskId": "zorb"})["msg"] == "Task not found."


def test_query_says_that_the_file_may_not_be_downloaded(alice, start):
    job = start()
    job.source.trained_file_downloads = False
    job.source.save()
    assert alice.post(QUERY, {"taskId": "zorb"})["data"]["modelUrlNote"] is None
    end(job, State.SUCCEEDED)
    found = alice.post(QUERY, {"taskId": "zorb"})["data"]
    assert (found["sdLoraName"], found["modelUrl"]) == ("zorb", None)
    assert found["modelUrlNote"] == "Downloads of trained models are disabled for this source."


def test_trained_lora_is_drawn_with_by_each_of_its_names_and_by_its_source_only(alice, charlie, start):
    end(start(), State.SUCCEEDED)
    for name in ("zorb", "zorb-1a2b"):
        job = alice.generate(prompt=f"zorb <lora:{name}:0.8>")
        (lora,) = job.generation_request.loras
        assert (lora.name, lora.unet) == ("zorb", 0.8)
    body = generation_body(prompt="zorb <lora:zorb:0.8>")
    assert "lora:zorb" in charlie.refused("sd/v2/text2image", body)


def test_callback_is_the_query(alice, start, web):
    web.answers["/done"] = YES
    job = start(callbackUrl=web.url("/done"))
    end(job, State.SUCCEEDED)
    outbox.job_ended(job.pk)
    call_back()
    request = web.asked[-1]
    expected = alice.post(QUERY, {"taskId": "zorb"})["data"]
    assert json.loads(request.body) == {"code": "200", "msg": "success", "data": expected}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"fileUrlList": []}, "fileUrlList"),
        ({"fileUrlList": ["http://10.0.0.1/a.png"]}, "fileUrlList: Tuple should have at least 10"),
        ({"fileUrlList": ["http://10.0.0.1/a.png"] * 500}, "at most 100"),
        ({"fileUrlList": ["http://10.0.0.1/a.png"] * 10}, "fileUrlList.9: "),
        ({"taskId": "../a"}, "taskId must have 1 to 100 letters"),
        ({"pretrainedModel": "nowhere"}, "nowhere"),
        ({"maxEpochs": 51}, "maxEpochs"),
        ({"repeats": 1000}, "maxEpochs * repeats: Input should be less than or equal to 20000"),
        ({"learningRate": "0.01"}, "learningRate"),
        ({"lrScheduler": "polynomial"}, "lrScheduler"),
        ({"networkModule": "lycoris.kohya"}, "networkModule"),
        ({"networkDim": 300}, "networkDim"),
        ({"gradientAccumulationSteps": 16, "batchSize": 4}, "batchSize * gradientAccumulationSteps"),
        ({"callbackUrl": "http://127.0.0.1/hook"}, "127.0.0.1"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_bad_training_is_refused_and_nothing_is_held(alice, urls, source, changes, told):
    if "callbackUrl" in changes:
        source.reachable = []
        source.save()
        urls = ["http://10.0.0.1/a.png"] * 10
        told = "10.0.0.1"
    message = alice.refused(SUBMIT, {"taskId": "zorb", "fileUrlList": urls, **changes})
    assert told in message
    assert not InputPicture.objects.exists()
    assert not Posting.objects.exists()


def test_id_is_unique_while_its_lora_exists_and_a_repeated_request_can_be_marked(alice, start, urls):
    job = start()
    body = {"taskId": "zorb", "fileUrlList": urls}
    assert "zorb is being trained already" in alice.refused(SUBMIT, body)
    marked = {"taskId": "marked", "fileUrlList": urls}
    first, second = (alice.post(SUBMIT, marked, **{"Idempotency-Key": "a"}) for _ in range(2))
    assert first["data"]["task_id"] == second["data"]["task_id"] == "marked"
    assert Job.objects.count() == 2
    end(job, State.FAILED)
    assert alice.post(SUBMIT, body)["code"] == "200"


def test_example_call_of_a_training_repeats_it_under_a_new_id(alice, start):
    job = start(seed=7, networkDim=8)
    (found,) = [one for one in commands(job, "http://testserver") if one.dialect == "zhiqite"]
    body = json.loads(re.search(r"<<END\n(.*)\nEND", found.command, re.DOTALL)[1])
    again = alice.submit(found.path.removeprefix(PREFIX), body)
    assert again.external_id == f"again-{job.pk}"
    first, second = (
        one.request | {"training": one.request["training"] | {"title": ""}} for one in (job, again)
    )
    assert first == second
