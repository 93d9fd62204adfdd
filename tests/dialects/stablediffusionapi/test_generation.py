"""Fields of requests: the GenerationRequest that they become, and webhooks."""

import base64
import io
import json

import pytest
from PIL import Image

from jobs.images.storage import read_input
from jobs.models import Job
from models_registry.models import Kind, PromptStyle
from tests.support.input_images import file_of, is_upright, photo
from tests.support.receiving_server import work as call_back
from tests.support.text_model_server import DETAILS

from .conftest import data_uri, png

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

# The document's example, with another key and image URL.
EXAMPLE = {
    "prompt": "a cat sitting on a bench",
    "negative_prompt": None,
    "width": "512",
    "height": "512",
    "samples": "1",
    "num_inference_steps": "30",
    "safety_checker": "no",
    "enhance_prompt": "yes",
    "guidance_scale": 7.5,
    "strength": 0.7,
    "seed": None,
    "webhook": None,
    "track_id": None,
}


def test_example_of_the_document_becomes_an_img2img(alice, web):
    request = alice.request("v3/img2img", init_image=web.url("/red.png"), **EXAMPLE)
    assert (request.task, request.prompt, request.negative_prompt) == (
        "img2img",
        "a cat sitting on a bench",
        "",
    )
    assert (request.width, request.height, request.num_images) == (512, 512, 1)
    assert (request.num_inference_steps, request.guidance_scale, request.strength) == (30, 7.5, 0.7)
    assert read_input(request.init_images[0].sha256) == png()


@pytest.mark.field(
    "stablediffusionapi_img2img",
    "prompt",
    "negative_prompt",
    "width",
    "height",
    "samples",
    "num_inference_steps",
    "guidance_scale",
    "strength",
    "seed",
)
def test_numbers_may_be_strings(alice, red):
    request = alice.request(
        "v3/img2img",
        init_image=red,
        prompt=" a cat ",
        negative_prompt="dogs",
        width="128",
        height="192",
        samples="3",
        num_inference_steps="21",
        guidance_scale="11.5",
        strength="0.25",
        seed="42",
    )
    assert (request.prompt, request.negative_prompt) == ("a cat", "dogs")
    assert (request.width, request.height, request.num_images, request.batch_size) == (128, 192, 3, 3)
    assert (request.num_inference_steps, request.guidance_scale) == (21, 11.5)
    assert (request.strength, request.seed) == (0.25, 42)


@pytest.mark.parametrize("seed", [None, "", " ", "null", -1, "-1"])
def test_missing_seed_is_random(alice, seed):
    seeds = {alice.request(seed=seed).seed for _ in range(3)}
    assert len(seeds) == 3


@pytest.mark.field("stablediffusionapi_img2img", "init_image")
def test_init_image_is_fetched_by_its_url(alice, web):
    request = alice.request("v3/img2img", init_image=web.url("/red.png"))
    assert read_input(request.init_images[0].sha256) == png()


def test_images_may_be_base64_with_the_flag(alice):
    bare = base64.b64encode(png()).decode()
    assert alice.request("v3/img2img", init_image=bare, base64="yes").init_images
    message = alice.call("v3/img2img", prompt="x", init_image=bare)["message"]
    assert message == {"init_image": ["The init image must be a valid URL."]}


def test_output_url_may_be_the_init_image_of_another_request(alice, work):
    response, _job = alice.generate()
    work()
    (url,) = alice.call(f"v3/fetch/{response['id']}")["output"]
    request = alice.request("v3/img2img", init_image=url)
    assert Image.open(io.BytesIO(read_input(request.init_images[0].sha256))).size == (64, 64)


def test_forged_url_of_this_platform_is_refused(alice, work):
    response, _job = alice.generate()
    work()
    (url,) = alice.call(f"v3/fetch/{response['id']}")["output"]
    forged = url.replace("/0.png", "/1.png")
    assert alice.call("v3/img2img", prompt="x", init_image=forged)["message"] == (
        "Unable to fetch image from provided URL"
    )


@pytest.mark.field("stablediffusionapi_img2img", "safety_checker")
def test_safety_checker_selects_the_nsfw_policy(alice, red, detector):
    assert alice.request("v3/img2img", init_image=red, safety_checker="yes").nsfw.policy == "blank"
    assert alice.request("v3/img2img", init_image=red, safety_checker="no").nsfw.policy == "off"


@pytest.mark.parametrize(
    ("kind", "policy"),
    [("blur", "blur"), ("pixelate", "blur"), ("black", "blank"), ("sensitive_content_text", "blank")],
)
def test_safety_checker_type_selects_the_nsfw_policy(alice, detector, kind, policy):
    body = {"model_id": "shapes", "safety_checker": "yes", "safety_checker_type": kind}
    assert alice.request("v4/dreambooth", **body).nsfw.policy == policy


def test_safety_checker_without_its_model_is_refused(alice):
    assert list(alice.refused(safety_checker="yes")) == ["safety_checker"]


def test_nsfw_output_is_flagged(alice, detector, work, fake_runner):
    from tests.support.fake_runner import generates_detected_nsfw

    fake_runner.behavior = generates_detected_nsfw
    response, _job = alice.generate(safety_checker="yes")
    work()
    assert alice.call(f"v3/fetch/{response['id']}")["nsfw_content_detected"] is True


@pytest.mark.parametrize(
    ("fields", "prompt"),
    [
        ({"prompt": "一只猫", "multi_lingual": "yes", "enhance_prompt": "no"}, "a cat"),
        ({"prompt": "一只猫", "multi_lingual": "yes"}, "a cat, masterpiece"),
        ({"prompt": "一只猫", "multi_lingual": "yes", "enhance_prompt": "yes"}, f"a cat, {DETAILS}"),
        ({"prompt": "a cat", "enhance_prompt": "yes"}, f"a cat, {DETAILS}"),
        ({"prompt": "a cat", "multi_lingual": "yes", "enhance_prompt": "no"}, "a cat"),
        ({"prompt": "a cat"}, "a cat, masterpiece"),
    ],
)
def test_text_model_translates_and_expands(alice, text_model, fields, prompt):
    """``enhance_prompt`` expands the prompt where it is sent; its default is the prompt style."""
    PromptStyle.objects.create(name="enhance_prompt", prompt="{prompt}, masterpiece")
    assert alice.request(**fields).prompt == prompt


def test_setting_of_the_source_applies_where_enhance_prompt_is_absent(alice, text_model):
    alice.access_key.source.prompt_modes = {"stablediffusionapi": "expand"}
    alice.access_key.source.save()
    assert alice.request(prompt="一只猫").prompt == f"a cat, {DETAILS}"
    assert alice.request(prompt="一只猫", enhance_prompt="no").prompt == "a cat"


def test_failed_expansion_leaves_the_prompt_as_it_is(alice, text_model):
    text_model.misbehavior = "prose"
    _response, job = alice.generate(prompt="a cat", enhance_prompt="yes")
    assert job.generation_request.prompt == "a cat"
    assert "its answer cannot be used" in job.transitions.get().note


@pytest.mark.field("stablediffusionapi_img2img", "enhance_prompt")
def test_enhance_prompt_applies_the_configured_prompt_style(alice, red):
    PromptStyle.objects.create(
        name="enhance_prompt", prompt="{prompt}, masterpiece", negative_prompt="blurry"
    )
    enhanced = alice.request("v3/img2img", init_image=red, enhance_prompt="yes")
    assert (enhanced.prompt, enhanced.negative_prompt) == ("a red circle, masterpiece", "blurry")
    assert alice.request("v3/img2img", init_image=red, enhance_prompt="no").prompt == "a red circle"


def test_enhance_prompt_without_effect_is_told_in_the_tip_of_the_result(alice, work):
    asked, _job = alice.generate(enhance_prompt="yes")
    silent, _job = alice.generate()
    PromptStyle.objects.create(name="enhance_prompt", prompt="{prompt}, masterpiece")
    enhanced, _job = alice.generate(enhance_prompt="yes")
    for _job in range(3):
        work()
    tips = [alice.call(f"v3/fetch/{response['id']}")["tip"] for response in (asked, silent, enhanced)]
    assert tips == ["enhance_prompt had no effect: there is no prompt style enhance_prompt.", "", ""]


@pytest.mark.field("stablediffusionapi_img2img", "webhook", "track_id")
@pytest.mark.parametrize("track_id", ["order-7", 7])
def test_webhook_of_a_succeeded_job(alice, red, web, work, track_id):
    response, job = alice.generate("v3/img2img", init_image=red, webhook=web.url("/hook"), track_id=track_id)
    work()
    call_back()
    body = json.loads(web.asked[-1].body)
    assert (body["status"], body["id"], body["track_id"]) == ("success", response["id"], track_id)
    assert body["meta"]["file_prefix"] == str(job.pk)
    assert alice.client.get(body["output"][0])["Content-Type"] == "image/png"


def test_webhook_of_a_failed_job(alice, web, work, fake_runner):
    from tests.support.fake_runner import fails_with_oom

    fake_runner.behavior = fails_with_oom
    response, _job = alice.generate(webhook=web.url("/hook"), track_id="t")
    work()
    call_back()
    body = json.loads(web.asked[-1].body)
    assert (body["status"], body["id"], body["track_id"]) == ("failed", response["id"], "t")
    assert body["message"] == "Failed, Try Again"


def test_webhook_is_tried_three_times(alice, web, work):
    from jobs.models.callback import Callback
    from tests.support.receiving_server import wait_for_the_next
    from tests.support.web_server import answer

    web.answers["/hook"] = answer(500)
    alice.generate(webhook=web.url("/hook"))
    work()
    call_back()
    waits = []
    while Callback.objects.get().state == "pending":
        waits.append(wait_for_the_next())
        call_back()
    assert [round(wait) for wait in waits] == [10, 60]
    assert (Callback.objects.get().state, len(web.asked)) == ("dead", 3)


def test_inpaint_generates_the_white_part_of_the_mask(alice, red):
    white = data_uri(png(color="white"))
    request = alice.request("v3/inpaint", init_image=red, mask_image=white)
    assert read_input(request.inpaint.mask.sha256) == png(color="white")
    assert not request.inpaint.invert


def test_inpaint_accepts_steps_under_two_names(alice, red):
    body = {"init_image": red, "mask_image": red, "model_id": "shapes"}
    assert alice.request("v4/dreambooth/inpaint", steps="17", **body).num_inference_steps == 17


def test_size_is_rounded_down_to_multiples_of_eight(alice):
    request = alice.request(width=700, height="519")
    assert (request.width, request.height) == (696, 512)


def test_community_models_keep_the_size_of_the_init_image(alice):
    wide = data_uri(png(200, 104))
    body = {"model_id": "shapes", "init_image": wide, "width": None, "height": None}
    request = alice.request("v4/dreambooth/img2img", **body)
    assert (request.width, request.height) == (200, 104)
    limited = alice.request("v4/dreambooth/img2img", **body | {"width": "128", "height": "128"})
    assert (limited.width, limited.height) == (128, 64)


def test_upscale_doubles_the_size(alice, model):
    model(Kind.UPSCALER, "best")
    request = alice.request(upscale="yes")
    assert (request.width, request.hires.width, request.hires.strength) == (64, 128, 0)
    assert request.hires.upscaler == "best"


def test_highres_fix_has_a_first_pass_at_half_the_size(alice):
    request = alice.request(highres_fix="yes", width=512, height=256)
    assert (request.width, request.height) == (256, 128)
    assert (request.hires.width, request.hires.height, request.hires.strength) == (512, 256, 0.7)


def test_panorama_enables_tiling(alice):
    assert alice.request(panorama="yes").tiling
    assert not alice.request(panorama="no").tiling


def test_super_resolution_upscales_and_returns_one_url(alice, red, work):
    response = alice.call("v3/super_resolution", url=red, scale=2, face_enhance=False)
    job = Job.objects.get()
    assert (job.generation_request.task, job.generation_request.upscale.scale) == ("upscale", 2)
    work()
    assert alice.call(f"v3/fetch/{response['id']}")["output"].endswith("/0.png")


def test_face_enhance_restores_faces_of_generated_and_upscaled_images(alice, red, face_models):
    assert alice.request(face_enhance="yes").face_restoration.model == "GFPGANv1.4"
    alice.call("v3/super_resolution", url=red, scale=2, face_enhance=True)
    job = Job.objects.latest("created_at")
    assert (job.generation_request.task, job.generation_request.face_restoration.visibility) == ("upscale", 1)


def test_face_enhance_without_its_models_names_the_missing_file(alice):
    response = alice.refused(face_enhance="yes")
    assert "GFPGANv1.4.pth in the folder face_restoration" in json.dumps(response)
    assert "face_enhance" in json.dumps(response)


def test_cropped_upload_may_be_the_init_image_of_a_request(alice):
    body = alice.call("v3/base64_crop", image=data_uri(png(800, 600)), crop="true")
    assert (body["status"], body["messege"]) == ("success", "image uploaded")
    response = alice.client.get(body["link"])
    assert Image.open(io.BytesIO(b"".join(response.streaming_content))).size == (512, 512)
    assert alice.request("v3/img2img", init_image=body["link"]).init_images


def test_same_idempotency_key_finds_the_same_job(alice):
    body = json.dumps({"key": alice.key, "prompt": "x"})
    headers = {"Idempotency-Key": "once"}
    first, second = (
        alice.client.post("/api/v3/text2img", body, content_type="application/json", headers=headers).json()
        for _ in range(2)
    )
    assert first["id"] == second["id"]
    assert Job.objects.count() == 1


@pytest.mark.parametrize("path", ["v4/dreambooth/img2img", "v4/dreambooth/inpaint", "v6/images/img2img"])
def test_size_follows_the_photo_as_a_viewer_shows_it(alice, red, path):
    fields = {"model_id": "shapes", "init_image": data_uri(photo(192, 128)), "mask_image": red}
    request = alice.request(path, **fields, width=None, height=None)
    assert (request.width, request.height) == (192, 128)


def test_cropped_upload_is_upright_and_keeps_transparency(alice):
    def uploaded(data, crop):
        link = alice.call("v3/base64_crop", image=data_uri(data), crop=crop)["link"]
        return Image.open(io.BytesIO(b"".join(alice.client.get(link).streaming_content)))

    assert is_upright(uploaded(photo(192, 128), "false"), (192, 128))
    assert is_upright(uploaded(photo(192, 128), "true"), (512, 512))
    palette = Image.new("P", (64, 64))
    assert uploaded(file_of(palette, transparency=0), "false").getpixel((0, 0))[3] == 0
