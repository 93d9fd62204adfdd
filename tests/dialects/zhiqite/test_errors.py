"""Errors: invalid fields, authentication, HTTP statuses."""

import pytest
from django.test import Client

from jobs.models import Job
from models_registry.models import Family, Kind
from tests.dialects.zhiqite.conftest import PREFIX, credentials, generation_body
from tests.support.input_images import UNUSABLE
from tests.support.web_server import answer

TEXT = "sd/v2/text2image"


def unit(**fields):
    return {"controlnet": {"args": [fields]}}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": ""}, "prompt: Field required"),
        ({"prompt": None}, "prompt: Field required"),
        ({"prompt": ["a"]}, "prompt: "),
        ({"width": 120}, "width: "),
        ({"width": 1032}, "width: "),
        ({"width": 129}, "width: "),
        ({"height": 10**30}, "height: "),
        ({"cfg_scale": 0.5}, "cfg_scale: "),
        ({"cfg_scale": 31}, "cfg_scale: "),
        ({"steps": 0}, "steps: "),
        ({"steps": 151}, "steps"),
        ({"n_iter": 5, "batch_size": 4}, "n_iter * batch_size"),
        ({"seed": "tomorrow"}, "seed: "),
        ({"seed": 2**64}, "seed: "),
        ({"denoising_strength": 1.1}, "denoising_strength: "),
        ({"resize_mode": 4}, "resize_mode: "),
        ({"hr_resize_x": 2056}, "hr_resize_x: "),
        ({"sampler_index": "Magic"}, "sampler_index: unknown sampler Magic"),
        ({"sampler_index": "DPM++ 2M Magic"}, "sampler_index: unknown sampler"),
        ({"enable_hr": True, "hr_upscaler": "Magic"}, "upscaler"),
        ({"prompt": "a <lora:unknown:1>"}, "prompt: lora:unknown cannot be used"),
        ({"prompt": "a" + 33 * "<lora:unknown:1>"}, "prompt: Input should have at most 32 LoRAs"),
        ({"prompt": "a\0b"}, "Text must not contain NUL characters or unpaired surrogates."),
        ({"alwayson_scripts": []}, "alwayson_scripts: "),
        ({"alwayson_scripts": {"id_task": "1"}}, "alwayson_scripts.sd_model_checkpoint: Field required"),
        ({"alwayson_scripts": {"sd_model_checkpoint": "shapes"}}, "alwayson_scripts.id_task: Field required"),
    ],
)  # fmt: skip
def test_invalid_field_is_refused_with_its_name(alice, fields, message):
    assert message in alice.refused(TEXT, generation_body() | fields)


@pytest.mark.parametrize(
    ("scripts", "message"),
    [
        ({"sd_model_checkpoint": "unknown.safetensors"}, "unknown.safetensors"),
        ({"sd_vae": "unknown.pt"}, "unknown.pt"),
        ({"output_image_format": "gif"}, "alwayson_scripts.output_image_format: "),
        ({"id_task": "a" * 201}, "alwayson_scripts.id_task: "),
        ({"ADetailer": {"args": [True, {"ad_model": "face_yolov8n.pt"}]}}, "alwayson_scripts.ADetailer.args.1.ad_model: "),
        (unit(module="magic", model="m"), "args.0.module: unknown preprocessor magic"),
        (unit(module="mlsd", model="m"), "args.0.module: mlsd is not supported"),
        (unit(module="canny"), "args.0.model is required"),
        (unit(module="canny", model="none such"), "args.0.model: unknown ControlNet model none such"),
        (unit(weight=3), "args.0.weight: "),
        (unit(resize_mode="sideways"), "args.0.resize_mode: "),
        (unit(control_mode=3), "args.0.control_mode: "),
        (unit(guidance_start=0.8, guidance_end=0.2), "guidance_start must not be greater"),
    ],
)  # fmt: skip
def test_invalid_script_is_refused_with_its_field(alice, scripts, message):
    assert message in alice.refused(TEXT, generation_body(scripts))


def test_adetailer_without_a_model_is_ignored(alice):
    alice.generate(scripts={"ADetailer": {"args": [False, {"ad_model": "None"}]}})
    alice.generate(scripts={"ADetailer": {"args": [True, {"ad_model": "None"}]}})


def test_model_of_another_family_is_refused(alice, register):
    register(Kind.LORA, "loras/tall.safetensors", family=Family.SDXL)
    assert "Stable Diffusion XL" in alice.refused(TEXT, generation_body(prompt="a <lora:tall:0.5>"))


def test_unit_without_an_image_needs_an_init_image(alice, register):
    register(Kind.CONTROLNET, "controlnet/canny.safetensors")
    message = alice.refused("sd/v2/controlnet", generation_body(unit(module="canny", model="canny")))
    assert "control unit" in message


@pytest.mark.parametrize("operation", ["v2/image2image", "v1/inpaint"])
def test_image_operation_requires_an_image(alice, operation):
    assert alice.refused(f"sd/{operation}", generation_body()).startswith(
        "alwayson_scripts.image_link is required"
    )


def test_inpaint_requires_a_mask(alice, web):
    message = alice.refused("sd/v1/inpaint", generation_body({"image_link": web.url("/red.png")}))
    assert message.startswith("alwayson_scripts.mask_link is required")


@pytest.mark.parametrize("path", ["/gone.png", "/page.html"])
def test_url_without_an_image_is_refused(alice, web, path):
    web.answers["/page.html"] = answer(200, b"<html>")
    alice.refused("sd/v2/image2image", generation_body({"image_link": web.url(path)}))


def test_image_url_of_a_local_address_is_refused(alice):
    message = alice.refused("sd/v2/image2image", generation_body({"image_link": "http://127.0.0.1:1/a.png"}))
    assert "127.0.0.1" in message


def test_image_urls_can_be_disabled(alice, web, settings):
    settings.INPUT_URLS = False
    message = alice.refused("sd/v2/image2image", generation_body({"image_link": web.url("/red.png")}))
    assert message == "Image URLs are disabled on this server."


def test_wrong_credentials_have_one_message(alice, key):
    expected = {"code": "400", "msg": "accessKey invalid", "data": None}
    for headers in ({}, credentials("", ""), credentials(alice.key.key_id, "x"), credentials("unknown", "x")):
        response = Client(headers=headers).post(
            PREFIX + TEXT, generation_body(), content_type="application/json"
        )
        assert (response.status_code, response.json()) == (200, expected)
    assert not Job.objects.exists()


def test_credentials_may_be_in_the_query(alice):
    query = "&".join(f"{name}={value}" for name, value in alice.headers.items())
    response = Client().post(f"{PREFIX}{TEXT}?{query}", generation_body(), content_type="application/json")
    assert response.json()["code"] == "200"


def test_http_errors_setting_gives_errors_their_status(alice, settings):
    settings.ZHIQITE_HTTP_ERRORS = True
    client = alice.client
    statuses = {
        client.post(
            PREFIX + "sd/v2/queryTaskInfo", {"businessTaskId": "x"}, content_type="application/json"
        ).status_code: 404,
        client.post(PREFIX + TEXT, {}, content_type="application/json").status_code: 400,
        Client().post(PREFIX + TEXT, {}, content_type="application/json").status_code: 401,
        client.get(PREFIX + TEXT).status_code: 405,
    }
    assert all(actual == expected for actual, expected in statuses.items())


def test_http_statuses_of_a_full_queue_a_large_body_and_an_unsupported_tool(alice, settings, source):
    settings.ZHIQITE_HTTP_ERRORS = True
    source.max_queued_jobs = 0
    source.save()

    def status(path, body):
        return alice.client.post(PREFIX + path, body, content_type="application/json").status_code

    assert (status(TEXT, generation_body()), status("tool/roop", {})) == (429, 501)
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    assert status(TEXT, generation_body(prompt="a" * 200)) == 413


def test_unknown_path_and_method_get_an_envelope(alice):
    assert alice.post("sd/v2/nothing")["msg"] == "Not Found"
    assert alice.client.get(PREFIX + TEXT).json()["code"] == "400"


@pytest.mark.parametrize(("data", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_message_says_which_image_is_refused_and_why(alice, web, data, reason):
    web.answers["/unusable"] = answer(200, data)
    red, unusable = web.url("/red.png"), web.url("/unusable")
    nested = {"image_link": red, "mask_link": unusable}
    assert reason in alice.refused("sd/v2/image2image", generation_body(nested))
    for path, body, field in (
        ("sd/v2/image2image", generation_body(nested), "alwayson_scripts.mask_link"),
        ("sd/v2/image2image", generation_body(image_link=unusable), "image_link"),
        ("tool/erase", {"businessTaskId": "t", "sourceImage": red, "maskImage": unusable}, "maskImage"),
    ):
        assert alice.refused(path, body).startswith(f"{field}: "), field


def test_message_says_why_a_url_cannot_be_fetched(alice, web):
    body = {"businessTaskId": "t", "sourceImage": web.url("/missing")}
    assert alice.refused("tool/enlarge", body) == "sourceImage: 127.0.0.1 returned status 404."
