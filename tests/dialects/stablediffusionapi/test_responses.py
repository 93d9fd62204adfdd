"""Responses: success, processing, failure, fetch, and ``meta``."""

import re

import pytest

from jobs.models import Job
from tests.support.fake_runner import fails_with_oom
from tests.support.field_table import listed

pytestmark = pytest.mark.django_db

V3_META = {
    "H", "W", "enable_attention_slicing", "file_prefix", "guidance_scale", "model", "n_samples", "negative_prompt",
    "outdir", "prompt", "revision", "seed", "steps", "vae",
}  # fmt: skip
V4_META = {
    "prompt", "model_id", "negative_prompt", "scheduler", "safetychecker", "W", "H", "guidance_scale", "seed", "steps",
    "n_samples", "full_url", "upscale", "multi_lingual", "panorama", "self_attention", "embeddings", "lora", "outdir",
    "file_prefix",
}  # fmt: skip


@pytest.mark.field(
    "stablediffusionapi_img2img_answer",
    "status",
    "generationTime",
    "id",
    "output",
    "meta",
    "meta.H",
    "meta.W",
    "meta.enable_attention_slicing",
    "meta.file_prefix",
    "meta.guidance_scale",
    "meta.model",
    "meta.n_samples",
    "meta.negative_prompt",
    "meta.outdir",
    "meta.prompt",
    "meta.revision",
    "meta.safety_checker",
    "meta.seed",
    "meta.steps",
    "meta.vae",
)
@pytest.mark.django_db(transaction=True)
def test_generation_returns_its_outputs(alice, worker, red):
    response = alice.call(
        "v3/img2img",
        prompt="a cat",
        negative_prompt="dogs",
        init_image=red,
        width=64,
        height=128,
        samples=2,
        seed=7,
    )
    assert (response["status"], type(response["id"]), response["generationTime"]) == ("success", int, 2.0)
    assert [re.search(r"/\d\.png$", url)[0] for url in response["output"]] == ["/0.png", "/1.png"]
    names = [
        name.removeprefix("meta.") for name in listed()["stablediffusionapi_img2img_answer"] if "." in name
    ]
    assert {name: response["meta"][name] for name in names} == {
        "H": 128,
        "W": 64,
        "enable_attention_slicing": "true",
        "file_prefix": str(Job.objects.get().pk),
        "guidance_scale": 7.5,
        "model": "shapes",
        "n_samples": 2,
        "negative_prompt": "dogs",
        "outdir": "out",
        "prompt": "a cat",
        "revision": "fp16",
        "safety_checker": "no",
        "seed": 7,
        "steps": 30,
        "vae": "default",
    }


def test_prompt_in_an_unknown_language_is_told_in_the_tip(alice, work):
    _response, job = alice.generate(prompt="红色的圆")
    work()
    finished = alice.call(f"v3/fetch/{job.external_id}")
    assert (finished["status"], "Chinese" in finished["tip"]) == ("success", True)


def test_output_urls_have_no_query_string(alice, client, work):
    response, _job = alice.generate()
    work()
    (url,) = alice.call(f"v3/fetch/{response['id']}")["output"]
    assert re.fullmatch(r"http://testserver/[^?#]+\.png", url)
    assert client.get(url.removeprefix("http://testserver"))["Content-Type"] == "image/png"


def test_base64_flag_returns_urls_of_base64_files(alice, client, work):
    import base64

    response, _job = alice.generate(base64="yes")
    work()
    (url,) = alice.call(f"v3/fetch/{response['id']}")["output"]
    assert url.endswith(".base64")
    assert base64.b64decode(client.get(url).content).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("path", "text", "fetch", "output"),
    [
        ("v3/text2img", "Try to fetch request after given estimated time", "v3/fetch", []),
        ("v4/dreambooth", "Try to fetch request after seconds estimated", "v3/dreambooth/fetch", []),
        ("v6/realtime/text2img", "Try to fetch request after seconds estimated", "v6/realtime/fetch", []),
    ],
)
def test_queued_generation_is_fetched_at_the_given_url(alice, work, path, text, fetch, output):
    response, job = alice.generate(path, model_id="shapes")
    assert response["status"] == "processing"
    assert response["messege"] == response["message"] == text
    assert isinstance(response["eta"], float)
    assert (response["output"], response["webhook_status"]) == (output, "")
    assert response["fetch_result"] == f"http://testserver/api/{fetch}/{job.external_id}"
    work()
    fetched = alice.call(f"{fetch}/{response['id']}")
    assert (fetched["status"], fetched["id"], len(fetched["output"])) == ("success", response["id"], 1)
    assert fetched["output"] == response["future_links"]
    assert fetched["meta"] == response["meta"]


def test_fetch_of_a_queued_job_is_processing(alice):
    response, _job = alice.generate()
    fetched = alice.call(f"v3/fetch/{response['id']}")
    assert (fetched["status"], fetched["messege"], fetched["output"]) == (
        "processing",
        "Request processing",
        "",
    )


def test_fetch_takes_the_id_in_path_or_body_with_post_or_get(alice, client, work):
    response, _job = alice.generate()
    work()
    number = response["id"]
    responses = [
        alice.call(f"v3/fetch/{number}"),
        alice.call("v3/fetch/", request_id=str(number)),
        alice.call("v4/dreambooth/fetch", request_id=number),
        client.get(f"/api/v6/images/fetch/{number}", {"key": alice.key}).json(),
        client.get(f"/api/v5/images/fetch/{number}", {"key": alice.key}).json(),
        client.get(f"/api/v3/fetch/{number}", headers={"key": alice.key}).json(),
    ]
    assert [response["output"] for response in responses] == [responses[0]["output"]] * len(responses)


@pytest.mark.parametrize("number", ["1", "0", "x", "99999999999999999999", "%00", "-1", "\u0663"])
def test_unknown_id_is_not_found(alice, number):
    assert alice.call(f"v3/fetch/{number}")["message"] == "Request not found"


def test_request_of_another_tenant_is_not_found(alice, charlie, work):
    response, _job = alice.generate()
    work()
    assert charlie.call(f"v3/fetch/{response['id']}")["message"] == "Request not found"


def test_ids_are_positive_32_bit_integers(alice):
    numbers = [alice.generate()[0]["id"] for _ in range(5)]
    assert len(set(numbers)) == 5
    assert all(0 < number < 2**31 for number in numbers)


def test_id_that_is_taken_is_replaced(alice, monkeypatch):
    numbers = iter([6, 6, 7])
    monkeypatch.setattr("secrets.randbelow", lambda _limit: next(numbers))
    assert [alice.generate(seed=1)[0]["id"] for _ in range(2)] == [7, 8]


def test_failed_generation_has_the_vendors_message(alice, work, fake_runner):
    fake_runner.behavior = fails_with_oom
    response, _job = alice.generate()
    work()
    fetched = alice.call(f"v3/fetch/{response['id']}")
    assert (fetched["status"], fetched["id"], fetched["message"], fetched["output"]) == (
        "failed",
        "",
        "Failed, Try Again",
        "",
    )
    assert "too large" in fetched["tip"]


def test_meta_of_v3(alice, red):
    response = alice.generate()[0]
    assert set(response["meta"]) == V3_META | {"safetychecker"}
    response = alice.generate("v3/inpaint", init_image=red, mask_image=red)[0]
    assert set(response["meta"]) == {
        "H", "W", "file_prefix", "guidance_scale", "init_image", "mask_image", "n_samples", "negative_prompt",
        "outdir", "prompt", "safetychecker", "seed", "steps", "strength",
    }  # fmt: skip


def test_meta_of_community_models(alice, red):
    text = alice.generate("v4/dreambooth", model_id="shapes")[0]["meta"]
    assert set(text) >= V4_META
    image = alice.generate("v4/dreambooth/img2img", model_id="shapes", init_image=red)[0]["meta"]
    assert set(image) >= V4_META | {"init_image", "strength"}


def test_meta_has_the_enhanced_prompt(alice):
    from models_registry.models import PromptStyle

    PromptStyle.objects.create(name="enhance_prompt", prompt="{prompt}, masterpiece")
    assert alice.generate()[0]["meta"]["prompt"] == "a red circle, masterpiece"


def test_instant_response_does_not_wait(alice, settings):
    settings.STABLEDIFFUSIONAPI_WAIT_S = 3600
    assert alice.generate(instant_response="yes")[0]["future_links"]


def test_temp_flag_gives_urls_that_expire_after_a_day(alice, source):
    import time

    source.public_pictures = True
    source.save()
    kept, temporary = (alice.generate(temp=temp)[0]["future_links"][0] for temp in ("no", "yes"))
    ends = [int(url.split("/")[-2].partition("-")[0], 16) for url in (kept, temporary)]
    assert ends[0] == 0
    assert 23 < (ends[1] - time.time()) / 3600 <= 25
