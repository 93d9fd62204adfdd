"""The playground as code: in every API the same generation request, or the names of the fields that the API lacks."""

import json
import os
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone

from access.models import AccessKey
from jobs.api_reference.examples.languages import LANGUAGES
from jobs.api_reference.request_calls import differences
from jobs.models import Job, Runner
from models_registry.models import Kind, ModelFile, StylePreset
from tests.support.fake_runner import png
from tests.support.input_images import file_of, quarters

pytestmark = pytest.mark.slow

CODE = "/admin/playground/code/"
SOURCE = {"X-Atelier-Source": "shop"}
PLAIN = {
    "prompt": 'it\'s a "red" circle for $5 `id`',
    "negative_prompt": "noise",
    "checkpoint": "shapes",
    "width": 128,
    "height": 192,
    "num_inference_steps": 7,
    "guidance_scale": 5.5,
    "sampler": "DPM++ 2M",
    "scheduler": "Karras",
    "seed": 77,
    "clip_skip": 2,
    "num_images": 2,
    "batch_size": 1,
    "loras": [{"name": "ink", "unet": 0.5, "text_encoder": 0.5}],
    "lane": "interactive",
    "preview_every": 2,
}
HIRES = PLAIN | {
    "loras": [],
    "hires": {"width": 192, "height": 288, "scale": 1.5, "strength": 0.4, "num_inference_steps": 3},
    "refiner": {"checkpoint": "other", "switch_at": 0.7},
    "vae": "sepia",
}
CONTROL = {"model": "canny", "module": "canny", "weight": 0.8, "guidance_end": 0.9, "resize_mode": "crop"}
IMAGE = PLAIN | {"task": "img2img", "loras": [], "num_images": 1, "strength": 0.55, "resize_mode": "crop"}
INPAINT = {"blur_x": 2, "blur_y": 2, "content": "original", "only_masked": True, "padding": 16}
# Body of the playground -> the fields that each API lacks; None: it has no such request.
EXPECTED = {
    "plain": {
        "native": [],
        "a1111": [],
        "openai": [],
        "stablediffusionapi": [],
        "zhiqite": [],
        "volcengine": ["loras", "num_images"],
        "ark": ["clip_skip", "negative_prompt", "num_inference_steps", "sampler", "scheduler"],
        "smzdm": None,
    },
    "hires": {"native": [], "a1111": [], "zhiqite": ["refiner"], "openai": ["vae", "refiner", "hires"]},
    "control": {"a1111": [], "zhiqite": ["controls.0.return_map"]},
    "inpaint": {"native": [], "a1111": [], "zhiqite": [], "openai": ["inpaint"]},
}


@pytest.fixture
def shop(source, checkpoint, settings) -> None:
    """Models of every kind that the requests name, and a preset without a style of its own."""
    settings.JOB_WAIT_S = settings.STABLEDIFFUSIONAPI_WAIT_S = 0
    seen = timezone.now() + timedelta(hours=1)
    Runner.objects.create(name="local", url="http://127.0.0.1:9", slots=1, seen_at=seen)
    kinds = {"other": Kind.CHECKPOINT, "ink": Kind.LORA, "sepia": Kind.VAE, "canny": Kind.CONTROLNET}
    for name, kind in kinds.items():
        file = {"path": f"{name}.safetensors", "sha256": name.encode().hex().ljust(64, "0"), "family": "sd15"}
        ModelFile.objects.create(kind=kind, name=name, **file)
    StylePreset.objects.create(key="plain", task=StylePreset.Task.TXT2IMG, checkpoint=checkpoint)


@pytest.fixture
def bodies(ops, shop) -> dict[str, dict]:
    def uploaded(data: bytes) -> str:
        response = ops.post("/api/v1/pictures", data, content_type="image/png", headers=SOURCE)
        return response.json()["sha256"]

    image, mask = uploaded(png()), uploaded(file_of(quarters(64, 64)))
    return {
        "plain": PLAIN,
        "hires": HIRES,
        "control": PLAIN | {"controls": [CONTROL | {"image": image}], "loras": []},
        "inpaint": IMAGE | {"init_images": [image], "inpaint": INPAINT | {"mask": mask}},
    }


def written(client: Client, dialect: str, body: dict, language: str = "curl") -> dict:
    sent = {"source": "shop", "dialect": dialect, "language": language, "request": body}
    response = client.post(CODE, sent, content_type="application/json")
    assert response.status_code == 200, response.content
    return response.json()


def run(script: str, secret: str, folder: Path) -> str:
    """Output of the script without its loop: no runner generates an image."""
    environment = os.environ | {"SECRET": secret}
    command = ["bash", "-u", "-c", script.partition("\nwhile ")[0]]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)
    return (done.stdout + done.stderr)[-500:]


@pytest.mark.skipif(not shutil.which("curl"), reason="the code is written for curl")
@pytest.mark.parametrize("name", EXPECTED)
def test_curl_of_each_api_submits_the_request_of_the_playground(
    ops, live_server, source, bodies, name, tmp_path
):
    key, secret = AccessKey.issue(source)
    submitted = ops.post("/api/v1/jobs", bodies[name], content_type="application/json", headers=SOURCE)
    wanted = Job.objects.get(pk=submitted.json()["id"]).generation_request
    browser = Client(HTTP_HOST=live_server.url.removeprefix("http://"))
    browser.force_login(ops.get("/admin/").wsgi_request.user)
    found: dict[str, list[str] | None] = {}
    for dialect in EXPECTED[name]:
        answer = written(browser, dialect, bodies[name])
        assert bool(answer["code"]) != bool(answer["reason"])
        found[dialect] = answer["lacking"] if answer["code"] else None
        if not answer["code"]:
            continue
        before = set(Job.objects.values_list("pk", flat=True))
        output = run(answer["code"], secret, tmp_path)
        [job] = Job.objects.exclude(pk__in=before) or [None]
        assert job, f"{dialect}: {output}"
        assert (job.dialect, job.key) == (dialect, key)
        assert list(differences(wanted, job.generation_request)) == answer["lacking"], dialect
    assert found == EXPECTED[name]


def test_without_a_seed_the_code_has_none(ops, source, shop):
    body = {name: value for name, value in PLAIN.items() if name != "seed"}
    for dialect in ("native", "a1111", "openai"):
        answer = written(ops, dialect, body)
        assert "seed" not in answer["code"]
        assert answer["lacking"] == []


def test_code_of_every_language_has_the_key_of_the_source(ops, source, shop):
    key, _secret = AccessKey.issue(source)
    for language in LANGUAGES:
        assert key.key_id in written(ops, "a1111", PLAIN, language.key)["code"]


def test_text_model_is_a_field_that_only_the_native_api_has(ops, source, shop, text_model):
    body = PLAIN | {"prompt_mode": "expand"}
    assert written(ops, "native", body)["lacking"] == []
    assert written(ops, "a1111", body)["lacking"] == ["prompt_mode"]


@pytest.mark.parametrize(
    "change",
    [
        {"request": None},
        {"request": []},
        {"dialect": "klingon"},
        {"language": "cobol"},
        {"source": "sh\0op"},
        {"request": {"prompt": "\0"}},
    ],
    ids=["null", "list", "api", "language", "nul", "nul in the request"],
)
def test_incomplete_body_is_refused(ops, source, shop, change):
    sent = {"source": "shop", "dialect": "a1111", "language": "curl", "request": PLAIN} | change
    assert ops.post(CODE, sent, content_type="application/json").status_code == 422
    assert ops.post(CODE, "{", content_type="application/json").status_code == 400


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": "wide"},
        {"checkpoint": "gone"},
        {"loras": [{"name": "gone"}]},
        {"unknown": 1},
        {"width": 10**9},
    ],
    ids=json.dumps,
)
def test_invalid_request_has_a_reason_in_place_of_code(ops, source, shop, wrong):
    answer = written(ops, "a1111", PLAIN | wrong)
    assert (answer["code"], bool(answer["reason"])) == ("", True)


def test_image_of_another_source_has_no_code(ops, source, other_source, shop):
    response = ops.post(
        "/api/v1/pictures", png(), content_type="image/png", headers={"X-Atelier-Source": "blog"}
    )
    body = IMAGE | {"init_images": [response.json()["sha256"]]}
    answer = written(ops, "a1111", body)
    assert (answer["code"], answer["reason"]) == ("", "An input image was not found.")


def test_tenant_gets_no_code_for_another_source(sign_in, source, other_source, shop):
    sent = {"source": "shop", "dialect": "native", "language": "curl", "request": PLAIN}
    assert (
        sign_in("tenant", other_source).post(CODE, sent, content_type="application/json").status_code == 404
    )
