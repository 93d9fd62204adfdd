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
def test_a_picture_in_time_is_the_answer(alice, worker, red):
    told = alice.ask(
        "v3/img2img",
        prompt="a cat",
        negative_prompt="dogs",
        init_image=red,
        width=64,
        height=128,
        samples=2,
        seed=7,
    )
    assert (told["status"], type(told["id"]), told["generationTime"]) == ("success", int, 2.0)
    assert [re.search(r"/\d\.png$", url)[0] for url in told["output"]] == ["/0.png", "/1.png"]
    named = [
        name.removeprefix("meta.") for name in listed()["stablediffusionapi_img2img_answer"] if "." in name
    ]
    assert {name: told["meta"][name] for name in named} == {
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


def test_output_urls_survive_an_old_client(alice, client, work):
    told, _job = alice.draw()
    work()
    (url,) = alice.ask(f"v3/fetch/{told['id']}")["output"]
    assert re.fullmatch(r"http://testserver/[^?#]+\.png", url)
    assert client.get(url.removeprefix("http://testserver"))["Content-Type"] == "image/png"


def test_base64_answers_with_urls_of_texts(alice, client, work):
    import base64

    told, _job = alice.draw(base64="yes")
    work()
    (url,) = alice.ask(f"v3/fetch/{told['id']}")["output"]
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
def test_a_late_picture_is_fetched_where_the_answer_says(alice, work, path, text, fetch, output):
    told, job = alice.draw(path, model_id="shapes")
    assert told["status"] == "processing"
    assert told["messege"] == told["message"] == text
    assert isinstance(told["eta"], float)
    assert (told["output"], told["webhook_status"]) == (output, "")
    assert told["fetch_result"] == f"http://testserver/api/{fetch}/{job.external_id}"
    work()
    fetched = alice.ask(f"{fetch}/{told['id']}")
    assert (fetched["status"], fetched["id"], len(fetched["output"])) == ("success", told["id"], 1)
    assert fetched["output"] == told["future_links"]
    assert fetched["meta"] == told["meta"]


def test_what_is_not_ready_is_still_processing(alice):
    told, _job = alice.draw()
    fetched = alice.ask(f"v3/fetch/{told['id']}")
    assert (fetched["status"], fetched["messege"], fetched["output"]) == (
        "processing",
        "Request processing",
        "",
    )


def test_fetch_takes_the_id_in_the_path_or_in_the_body_and_knows_get(alice, client, work):
    told, _job = alice.draw()
    work()
    number = told["id"]
    answers = [
        alice.ask(f"v3/fetch/{number}"),
        alice.ask("v3/fetch/", request_id=str(number)),
        alice.ask("v4/dreambooth/fetch", request_id=number),
        client.get(f"/api/v6/images/fetch/{number}", {"key": alice.key}).json(),
        client.get(f"/api/v5/images/fetch/{number}", {"key": alice.key}).json(),
        client.get(f"/api/v3/fetch/{number}", headers={"key": alice.key}).json(),
    ]
    assert [answer["output"] for answer in answers] == [answers[0]["output"]] * len(answers)


@pytest.mark.parametrize("number", ["1", "0", "x", "99999999999999999999", "%00", "-1", "\u0663"])
def test_an_unknown_id_is_not_found(alice, number):
    assert alice.ask(f"v3/fetch/{number}")["message"] == "Request not found"


def test_nobody_fetches_anothers_request(alice, charlie, work):
    told, _job = alice.draw()
    work()
    assert charlie.ask(f"v3/fetch/{told['id']}")["message"] == "Request not found"


def test_ids_fit_into_the_integers_of_old_languages(alice):
    numbers = [alice.draw()[0]["id"] for _ in range(5)]
    assert len(set(numbers)) == 5
    assert all(0 < number < 2**31 for number in numbers)


def test_an_id_that_is_taken_is_drawn_again(alice, monkeypatch):
    drawn = iter([6, 6, 7])
    monkeypatch.setattr("secrets.randbelow", lambda _most: next(drawn))
    assert [alice.draw(seed=1)[0]["id"] for _ in range(2)] == [7, 8]


def test_a_failed_picture_is_told_as_the_vendor_does(alice, work, fake_runner):
    fake_runner.behaviour = fails_with_oom
    told, _job = alice.draw()
    work()
    fetched = alice.ask(f"v3/fetch/{told['id']}")
    assert (fetched["status"], fetched["id"], fetched["message"], fetched["output"]) == (
        "failed",
        "",
        "Failed, Try Again",
        "",
    )
    assert "too large" in fetched["tip"]


def test_v3_tells_its_own_set(alice, red):
    told = alice.draw()[0]
    assert set(told["meta"]) == V3_META | {"safetychecker"}
    told = alice.draw("v3/inpaint", init_image=red, mask_image=red)[0]
    assert set(told["meta"]) == {
        "H", "W", "file_prefix", "guidance_scale", "init_image", "mask_image", "n_samples", "negative_prompt",
        "outdir", "prompt", "safetychecker", "seed", "steps", "strength",
    }  # fmt: skip


def test_community_models_tell_more(alice, red):
    text = alice.draw("v4/dreambooth", model_id="shapes")[0]["meta"]
    assert set(text) >= V4_META
    picture = alice.draw("v4/dreambooth/img2img", model_id="shapes", init_image=red)[0]["meta"]
    assert set(picture) >= V4_META | {"init_image", "strength"}


def test_the_enhanced_prompt_is_in_the_answer(alice):
    from models_registry.models import PromptStyle

    PromptStyle.objects.create(name="enhance_prompt", prompt="{prompt}, masterpiece")
    assert alice.draw()[0]["meta"]["prompt"] == "a red circle, masterpiece"


def test_an_instant_response_does_not_wait(alice, settings):
    settings.STABLEDIFFUSIONAPI_WAIT_S = 3600
    assert alice.draw(instant_response="yes")[0]["future_links"]


def test_a_temporary_picture_has_a_url_that_ends_within_a_day_or_so(alice, source):
    import time

    source.public_pictures = True
    source.save()
    kept, temporary = (alice.draw(temp=temp)[0]["future_links"][0] for temp in ("no", "yes"))
    ends = [int(url.split("/")[-2].partition("-")[0], 16) for url in (kept, temporary)]
    assert ends[0] == 0
    assert 23 < (ends[1] - time.time()) / 3600 <= 25
