import pytest
from django.test import Client

from jobs.models import Job
from models_registry.models import Family, Kind
from tests.dialects.zhiqite.conftest import PREFIX, credentials, drawing
from tests.support.web_server import answer

TEXT = "sd/v2/text2image"


def unit(**fields):
    return {"controlnet": {"args": [fields]}}


@pytest.mark.parametrize(
    ("fields", "told"),
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
        ({"steps": 151}, "steps is 151; the most"),
        ({"n_iter": 5, "batch_size": 4}, "n_iter * batch_size is 20; the most"),
        ({"seed": "tomorrow"}, "seed: "),
        ({"seed": 2**32}, "seed: "),
        ({"denoising_strength": 1.1}, "denoising_strength: "),
        ({"resize_mode": 4}, "resize_mode: "),
        ({"hr_resize_x": 2056}, "hr_resize_x: "),
        ({"sampler_index": "Magic"}, "sampler_index: there is no sampler Magic"),
        ({"sampler_index": "DPM++ 2M Magic"}, "sampler_index: there is no sampler"),
        ({"enable_hr": True, "hr_upscaler": "Magic"}, "upscaler"),
        ({"prompt": "a <lora:nobody:1>"}, "prompt: lora:nobody cannot be used"),
        ({"prompt": "a" + 33 * "<lora:nobody:1>"}, "prompt: Input should have at most 32 LoRAs"),
        ({"prompt": "a\0b"}, "Text may not contain NUL or half of a surrogate pair."),
        ({"alwayson_scripts": []}, "alwayson_scripts: "),
        ({"alwayson_scripts": {"id_task": "1"}}, "alwayson_scripts.sd_model_checkpoint: Field required"),
        ({"alwayson_scripts": {"sd_model_checkpoint": "shapes"}}, "alwayson_scripts.id_task: Field required"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_with_its_field(alice, fields, told):
    assert told in alice.refused(TEXT, drawing() | fields)


@pytest.mark.parametrize(
    ("scripts", "told"),
    [
        ({"sd_model_checkpoint": "nobody.safetensors"}, "nobody.safetensors"),
        ({"sd_vae": "nobody.pt"}, "nobody.pt"),
        ({"output_image_format": "gif"}, "alwayson_scripts.output_image_format: "),
        ({"id_task": "a" * 201}, "alwayson_scripts.id_task: "),
        ({"ADetailer": {"args": [True, {"ad_model": "face_yolov8n.pt"}]}}, "alwayson_scripts.ADetailer: "),
        (unit(module="magic", model="m"), "args.0.module: there is no magic"),
        (unit(module="openpose", model="m"), "args.0.module: openpose is not supported"),
        (unit(module="canny"), "args.0.model: the unit has no ControlNet model"),
        (unit(module="canny", model="nobody"), "args.0.model: there is no nobody"),
        (unit(weight=3), "args.0.weight: "),
        (unit(resize_mode="sideways"), "args.0.resize_mode: "),
        (unit(control_mode=3), "args.0.control_mode: "),
        (unit(guidance_start=0.8, guidance_end=0.2), "guidance_start is greater"),
    ],
)  # fmt: skip
def test_what_the_scripts_cannot_be_is_told_with_its_field(alice, scripts, told):
    assert told in alice.refused(TEXT, drawing(scripts))


def test_an_adetailer_that_asks_for_nothing_is_let_pass(alice):
    alice.draw(scripts={"ADetailer": {"args": [False, {"ad_model": "None"}]}})
    alice.draw(scripts={"ADetailer": {"args": [True, {"ad_model": "None"}]}})


def test_models_of_another_family_are_refused(alice, register):
    register(Kind.LORA, "loras/tall.safetensors", family=Family.SDXL)
    assert "Stable Diffusion XL" in alice.refused(TEXT, drawing(prompt="a <lora:tall:0.5>"))


def test_a_unit_needs_a_picture_where_there_is_no_base(alice, register):
    register(Kind.CONTROLNET, "controlnet/canny.safetensors")
    told = alice.refused("sd/v2/controlnet", drawing(unit(module="canny", model="canny")))
    assert told == "A control unit has no picture."


@pytest.mark.parametrize("operation", ["v2/image2image", "v1/inpaint"])
def test_what_begins_with_a_picture_needs_one(alice, operation):
    assert alice.refused(f"sd/{operation}", drawing()).startswith("alwayson_scripts.image_link:")


def test_inpainting_needs_its_mask(alice, web):
    told = alice.refused("sd/v1/inpaint", drawing({"image_link": web.url("/red.png")}))
    assert told.startswith("alwayson_scripts.mask_link:")


@pytest.mark.parametrize("path", ["/gone.png", "/page.html"])
def test_what_is_no_picture_is_refused(alice, web, path):
    web.answers["/page.html"] = answer(200, b"<html>")
    alice.refused("sd/v2/image2image", drawing({"image_link": web.url(path)}))


def test_pictures_are_not_fetched_from_our_own_network(alice):
    told = alice.refused("sd/v2/image2image", drawing({"image_link": "http://127.0.0.1:1/a.png"}))
    assert "127.0.0.1 is not in the public internet" in told


def test_pictures_are_not_fetched_where_that_is_turned_off(alice, web, settings):
    settings.INPUT_URLS = False
    told = alice.refused("sd/v2/image2image", drawing({"image_link": web.url("/red.png")}))
    assert told == "Pictures are not fetched by URL here."


def test_wrong_keys_learn_nothing_more(alice, key):
    told = {"code": "400", "msg": "accessKey invalid", "data": None}
    for headers in ({}, credentials("", ""), credentials(alice.key.key_id, "x"), credentials("nobody", "x")):
        response = Client(headers=headers).post(PREFIX + TEXT, drawing(), content_type="application/json")
        assert (response.status_code, response.json()) == (200, told)
    assert not Job.objects.exists()


def test_keys_may_be_in_the_query(alice):
    query = "&".join(f"{name}={value}" for name, value in alice.headers.items())
    response = Client().post(f"{PREFIX}{TEXT}?{query}", drawing(), content_type="application/json")
    assert response.json()["code"] == "200"


def test_errors_have_a_status_of_their_own_where_that_is_wanted(alice, settings):
    settings.ZHIQITE_HTTP_ERRORS = True
    client = alice.client
    answers = {
        client.post(
            PREFIX + "sd/v2/queryTaskInfo", {"businessTaskId": "x"}, content_type="application/json"
        ).status_code: 404,
        client.post(PREFIX + TEXT, {}, content_type="application/json").status_code: 400,
        Client().post(PREFIX + TEXT, {}, content_type="application/json").status_code: 401,
        client.get(PREFIX + TEXT).status_code: 405,
    }
    assert all(given == wanted for given, wanted in answers.items())


def test_statuses_of_what_is_too_large_too_much_and_never_done(alice, settings, source):
    settings.ZHIQITE_HTTP_ERRORS = True
    source.max_queued_jobs = 0
    source.save()

    def status(path, body):
        return alice.client.post(PREFIX + path, body, content_type="application/json").status_code

    assert (status(TEXT, drawing()), status("tool/roop", {})) == (429, 501)
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    assert status(TEXT, drawing(prompt="a" * 200)) == 413


def test_what_is_no_route_and_no_post_is_told_in_the_envelope(alice):
    assert alice.post("sd/v2/nothing")["msg"] == "Not Found"
    assert alice.client.get(PREFIX + TEXT).json()["code"] == "400"
