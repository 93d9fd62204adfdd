"""The playground's page, and the native API with the console's session instead of a key."""

import io
import re

import pytest
from django.test import Client
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from access.internal_source import internal_source
from access.models import AccessKey
from jobs.models import Job
from models_registry.models import PromptStyle

JOBS = "/api/v1/jobs"
CHOICES = "/admin/playground/choices/"
PARAMETERS = "/admin/playground/parameters/"
INFOTEXT = """a green square
Negative prompt: noise
Steps: 5, Sampler: DPM++ 2M Karras, CFG scale: 4.5, Seed: 77, Size: 64x128, Model hash: 0123456789, Model: gone"""
BODY = {"prompt": "a red circle", "width": 64, "height": 64}


def send(client, source="shop", **headers):
    return client.post(
        JOBS, BODY, content_type="application/json", headers={"X-Atelier-Source": source} | headers
    )


def test_playground_lists_the_sources_of_the_user(sign_in, source, other_source):
    page = sign_in("tenant", source).get("/admin/playground/").content.decode()
    assert "shop" in page
    assert "blog" not in page


def chosen(client) -> str:
    page = client.get("/admin/playground/").content.decode()
    return re.search(r'<option value="([^"]*)" selected', page)[1]


def test_playground_and_api_pages_begin_with_the_consoles_own_source_and_then_with_the_last_one(
    ops, source, other_source
):
    assert chosen(ops) == "blog"  # the first by name
    internal_source()
    assert chosen(ops) == "console"
    assert ops.get("/admin/apis/").context["source"].name == "console"
    ops.get(CHOICES, {"source": "shop"})  # as the page sends it when the user chooses a source
    assert chosen(ops) == "shop"
    assert ops.get("/admin/apis/").context["source"] == source
    ops.get("/admin/apis/", {"source": "blog"})
    assert chosen(ops) == "blog"


def test_playground_offers_the_text_model_if_there_is_one(ops, source, settings):
    assert "prompt_mode" not in ops.get("/admin/playground/").content.decode()
    settings.TEXT_MODEL_URL, settings.TEXT_MODEL_NAME = "http://127.0.0.1:9/v1", "qwen"
    text = ops.get("/admin/playground/").content.decode()
    assert all(f'<option value="{mode}">' in text for mode in ("as_is", "translate", "expand"))


@pytest.mark.parametrize("role", ["viewer", "finance"])
def test_playground_is_denied_to_read_only_roles(sign_in, role, source):
    client = sign_in(role)
    assert client.get("/admin/playground/").status_code == 403
    assert send(client).status_code == 403


def test_session_submits_jobs_for_the_source_in_the_header(ops, source, checkpoint):
    response = send(ops)
    assert response.status_code == 201
    job = Job.objects.get()
    assert (job.source, job.dialect, job.key.note) == (source, "native", "console: admin")
    assert ops.get(response.json()["url"], headers={"X-Atelier-Source": "shop"}).status_code == 200


def test_a_user_has_one_key_for_each_source(ops, source, other_source, checkpoint):
    for name in ("shop", "shop", "blog"):
        send(ops, name)
    assert AccessKey.objects.count() == 2


def test_tenant_cannot_submit_jobs_for_another_source(sign_in, source, other_source, checkpoint):
    assert send(sign_in("tenant", source), "blog").status_code == 403
    assert not Job.objects.exists()


@pytest.mark.parametrize("name", ["", "unknown", "sh\0op"])
def test_unknown_source_is_refused(ops, source, name):
    assert send(ops, name).status_code == 403


def test_header_without_a_session_is_unauthorized(client, source):
    assert send(client).status_code == 401


def test_session_without_the_header_is_unauthorized(ops, source):
    assert ops.post(JOBS, BODY, content_type="application/json").status_code == 401


def test_session_requires_a_csrf_token(ops, source, admin_user):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(admin_user)
    assert send(strict).status_code == 403
    token = strict.get("/admin/playground/").cookies["csrftoken"].value
    assert send(strict, **{"X-CSRFToken": token}).status_code != 403


def test_session_uploads_an_image_with_its_csrf_token_in_the_header(ops, source, admin_user, png):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(admin_user)
    upload = {"path": "/api/v1/pictures", "data": png, "content_type": "image/png"}
    headers = {"X-Atelier-Source": "shop"}
    assert strict.post(**upload, headers=headers).status_code == 403
    headers["X-CSRFToken"] = strict.get("/admin/playground/").cookies["csrftoken"].value
    assert strict.post(**upload, headers=headers).status_code == 201


def test_disabled_console_key_is_denied(ops, source, checkpoint):
    send(ops)
    AccessKey.objects.update(enabled=False)
    assert send(ops).status_code == 403


def test_user_who_is_no_longer_staff_is_denied(client, django_user_model, source):
    client.force_login(django_user_model.objects.create_user("former", is_superuser=True))
    assert send(client).status_code == 401


@pytest.fixture
def png():
    return png_with(None)


def png_with(infotext):
    buffer, info = io.BytesIO(), PngInfo()
    if infotext is not None:
        info.add_text("parameters", infotext)
    Image.new("RGB", (64, 64)).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def read(client, data, source="shop"):
    options = {"content_type": "application/octet-stream", "headers": {"X-Atelier-Source": source}}
    return client.post(PARAMETERS, data, **options)


def test_parameters_of_an_image_are_values_of_the_form(ops, source, checkpoint):
    answer = read(ops, png_with(INFOTEXT)).json()
    assert answer["infotext"] == INFOTEXT
    assert answer["is_txt2img"] is True
    assert answer["fields"] == {
        "prompt": "a green square",
        "negative_prompt": "noise",
        "num_inference_steps": 5,
        "guidance_scale": 4.5,
        "seed": 77,
        "width": 64,
        "height": 128,
        "sampler": "DPM++ 2M",
        "scheduler": "Automatic",
        "vae": "",
        "refiner": "",
    }
    assert answer["not_used"] == ["Model gone"]


def test_hires_fix_of_an_image_is_read(ops, source):
    infotext = (
        INFOTEXT + ", Denoising strength: 0.4, Hires upscale: 1.5, Hires upscaler: Latent, Hires steps: 3"
    )
    fields = read(ops, png_with(infotext)).json()["fields"]
    expected = {"hires": True, "hires_scale": 1.5, "hires_strength": 0.4, "hires_steps": 3}
    assert {name: fields[name] for name in expected} == expected


@pytest.mark.parametrize(
    "wrong", ["Seed: 99999999999999999999", "CFG scale: nan", "Steps: " + "9" * 5000, "Ghost: 1"]
)
def test_values_that_the_form_cannot_hold_are_named(ops, source, wrong):
    infotext = f"a square\nSteps: 5, Sampler: Euler, Size: 64x64, {wrong}"
    answer = read(ops, png_with(infotext)).json()
    assert wrong.partition(":")[0] in answer["not_used"]


def test_image_without_parameters_has_no_infotext(ops, source, png):
    assert read(ops, png).json()["infotext"] == ""


@pytest.mark.parametrize("data", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_file_that_is_no_image_is_refused(ops, source, data):
    response = read(ops, data)
    assert response.status_code == 422
    assert response.json()["detail"]


def test_parameters_and_choices_are_those_of_a_visible_source(sign_in, source, other_source, png):
    tenant = sign_in("tenant", source)
    assert read(tenant, png).status_code == 200
    assert read(tenant, png, "blog").status_code == 404
    assert tenant.get(CHOICES, {"source": "shop"}).status_code == 200
    for name in ("blog", "unknown", "", "sh\0op"):
        assert tenant.get(CHOICES, {"source": name}).status_code == 404


def test_choices_are_what_the_source_may_use(ops, source, other_source):
    PromptStyle.objects.create(name="dusk", prompt="{prompt} at dusk")
    PromptStyle.objects.create(name="theirs", prompt="x").allowed_sources.add(other_source)
    answer = ops.get(CHOICES, {"source": "shop"}).json()
    assert [style["name"] for style in answer["styles"]] == ["dusk"]
    modules = {module["name"]: module for module in answer["modules"]}
    assert [slider["name"] for slider in modules["canny"]["sliders"]] == ["Low Threshold", "High Threshold"]
    assert "hed" not in modules  # its network's file is missing
    assert "Latent" in answer["latent_upscalers"]
