"""Exported curl commands submit an equal request."""

import base64
import json
import os
import re
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from access.models import AccessKey
from dialects.zhiqite.authentication import KEY_ID, SECRET
from jobs.admission.admit import admit
from jobs.models import Job, Runner
from models_registry.models import Kind, ModelFile, StylePreset
from tests.dialects.openai.conftest import mask_file
from tests.support.fake_runner import png
from tests.support.input_images import file_of, quarters
from tests.support.job_curl import Curl, commands
from tests.support.web_server import WebServer, answer

pytestmark = pytest.mark.slow

BASE = "http://testserver"
CALLBACK = "http://93.184.215.14/done"


@pytest.fixture(autouse=True)
def no_waiting(settings) -> None:
    settings.JOB_WAIT_S = settings.STABLEDIFFUSIONAPI_WAIT_S = 0


@pytest.fixture(autouse=True)
def runner(db) -> Runner:
    fields = {"seen_at": timezone.now() + timedelta(hours=1), "slots": 1}
    return Runner.objects.create(name="local", url="http://127.0.0.1:9", **fields)


@pytest.fixture
def credentials(source, checkpoint) -> tuple[str, str]:
    key, secret = AccessKey.issue(source)
    return key.key_id, secret


@pytest.fixture
def web(source) -> Iterator[WebServer]:
    """Serves an image and a mask; the source may reach it."""
    server = WebServer()
    server.answers["/image.png"] = answer(200, png())
    server.answers["/mask.png"] = answer(200, file_of(quarters(64, 64)))
    source.reachable = ["127.0.0.1"]
    source.save()
    yield server
    server.close()


@pytest.fixture
def models(db) -> None:
    """A ControlNet and a matting model."""
    canny = {"name": "canny", "path": "controlnet/canny.safetensors", "sha256": "c" * 64, "family": "sd15"}
    ModelFile.objects.create(kind=Kind.CONTROLNET, **canny)
    onnx_files = [
        (Kind.MATTING, "u2netp"),
        (Kind.FACE_DETECTOR, "yunet"),
        (Kind.TAGGER, "wd"),
        (Kind.TEXT_DETECTOR, "letters"),
    ]
    for number, (kind, name) in enumerate(onnx_files):
        fields = {"path": f"{name}.onnx", "sha256": str(number) * 64, "family": "unknown"}
        ModelFile.objects.create(kind=kind, name=name, **fields)


def post(path: str, body: Any, credentials: tuple[str, str]) -> Job:
    """The job of a request."""
    before = set(Job.objects.values_list("pk", flat=True))
    headers = {"Authorization": f"Bearer {':'.join(credentials)}"}
    if path.startswith("/AIGCImgOpenServ"):
        headers = dict(zip((KEY_ID, SECRET), credentials, strict=True))
    response = Client().post(path, body, content_type="application/json", headers=headers)
    created = Job.objects.exclude(pk__in=before)
    assert created.exists(), response.content.decode()
    if response.streaming:
        list(response.streaming_content)  # to its end
    return created.get()


def curl(job: Job, dialect: str) -> Curl:
    return next(curl for curl in commands(job, BASE) if curl.dialect == dialect)


def path_and_body(job: Job, dialect: str) -> tuple[str, dict[str, Any]]:
    found = curl(job, dialect)
    assert found.command, found
    body: dict[str, Any] = json.loads(re.search(r"<<END\n(.*)\nEND", found.command, re.DOTALL)[1])
    return found.path, {name: value for name, value in body.items() if name != "key"}


SMALL = {"prompt": "a red circle", "width": 128, "height": 128}
SCRIPTS = {"sd_model_checkpoint": "shapes.safetensors", "id_task": "pro-1"}
V3 = {"baseModelCode": "shapes.safetensors", "businessTaskId": "v3-1"}
UNIT = {
    "image_link": "{web}/image.png",
    "module": "canny",
    "model": "canny",
    "resize_mode": "Resize and Fill",
    "control_mode": "My prompt is more important",
}
ZHIQITE = [
    ("sd/v2/text2image", SMALL | {"alwayson_scripts": SCRIPTS, "sampler_index": "DPM++ 2M Karras"}),
    ("sd/v2/text2image", SMALL | {"alwayson_scripts": SCRIPTS, "enable_hr": True, "hr_scale": 2}),
    (
        "sd/v2/image2image",
        SMALL
        | {
            "alwayson_scripts": SCRIPTS
            | {"image_link": "{web}/image.png", "mask_link": "{web}/mask.png", "sd_vae": "Automatic"},
            "denoising_strength": 0.4,
        },
    ),
    ("sd/v2/controlnet", SMALL | {"alwayson_scripts": SCRIPTS | {"controlnet": {"args": [UNIT]}}}),
    (
        "sd/v3/text2Image",
        SMALL
        | {"saasDrawingExternalImageParameterBO": V3, "subSeedStrength": 0.3, "negativePrompt": "blurry"},
    ),
    ("tool/enlarge", {"businessTaskId": "t-1", "sourceImage": "{web}/image.png", "scale": 3}),
    ("tool/face/detection", {"businessTaskId": "t-1", "imageUrl": "{web}/image.png"}),
    ("tool/interrogate", {"businessTaskId": "t-1", "image": "{web}/image.png", "model": "deepdanbooru"}),
    ("tool/watermark/remove", {"businessTaskId": "t-1", "sourceImage": "{web}/image.png", "prompt": "grass"}),
    (
        "tool/erase",
        {"businessTaskId": "t-1", "sourceImage": "{web}/image.png", "maskImage": "{web}/mask.png", "seed": 5},
    ),
]
V3_API = {"prompt": "a red circle", "width": "128", "height": "128"}
STABLEDIFFUSIONAPI = [
    (
        "v3/text2img",
        V3_API | {"samples": "2", "negative_prompt": "blurry", "scheduler": "EulerDiscreteScheduler"},
    ),
    ("v3/img2img", V3_API | {"init_image": "{web}/image.png", "strength": 0.4}),
    ("v3/inpaint", V3_API | {"init_image": "{web}/image.png", "mask_image": "{web}/mask.png"}),
    (
        "v5/controlnet",
        V3_API | {"model_id": "shapes", "controlnet_model": "canny", "init_image": "{web}/image.png"},
    ),
    ("v3/super_resolution", {"url": "{web}/image.png", "scale": 2}),
]
SEVERAL = {
    "sequential_image_generation": "auto",
    "sequential_image_generation_options": {"max_images": 2},
}
ARK = [
    {"seed": -1, "size": "128x128", "output_format": "png", "watermark": True, "guidance_scale": 5},
    {"image": "{web}/image.png", "size": "auto", **SEVERAL},
    {
        "image": "data:image/png;base64," + base64.b64encode(png()).decode(),
        "size": "1K",
        "response_format": "b64_json",
    },
    {"size": "1K", "background": "transparent"},
]
OPENAI = [
    ("generations", {"size": "128x128", "n": 2, "quality": "high", "model": "dall-e-3", "style": "vivid"}),
    ("generations", {"stream": True, "partial_images": 3, "output_format": "webp", "user": "it's 7"}),
    ("generations", {"background": "transparent", "async": True, "loras": [], "negative_prompt": "blue"}),
    ("edits", {"image": "{web}/image.png", "input_fidelity": "high"}),
    (
        "edits",
        {
            "image": ["data:image/png;base64," + base64.b64encode(png()).decode()],
            "mask": base64.b64encode(mask_file((64, 64), (8, 8, 32, 32))).decode(),
        },
    ),
    ("variations", {"image": "{web}/image.png", "size": "64x64", "response_format": "url"}),
]
SMZDM = [
    ("rembg_img", {"img_url": "{web}/image.png"}),
    (
        "change_background",
        {
            "img_url": "{web}/image.png",
            "prompt": "a beach",
            "mask_url": "{web}/mask.png",
            "is_controlnet": False,
        },
    ),
]


@pytest.mark.parametrize(
    ("dialect", "path", "body"),
    [
        *(("zhiqite", f"/AIGCImgOpenServ/saas/{path}", body) for path, body in ZHIQITE),
        *(("stablediffusionapi", f"/api/{path}", body) for path, body in STABLEDIFFUSIONAPI),
        *(("smzdm", f"/pictures/{path}", body) for path, body in SMZDM),
        *(
            ("openai", f"/v1/images/{path}", body | ({} if path == "variations" else {"prompt": "a cat"}))
            for path, body in OPENAI
        ),
        *(
            ("ark", "/api/v3/images/generations", {"model": "shapes", "prompt": "a cat"} | body)
            for body in ARK
        ),
    ],
)
def test_command_of_the_jobs_own_dialect_sends_an_equal_request(
    dialect, path, body, credentials, web, models
):
    sent = json.loads(json.dumps(body).replace("{web}", web.url("")))
    job = post(path, sent, credentials)
    assert post(*path_and_body(job, dialect), credentials).request == job.request


@pytest.mark.parametrize(
    ("dialect", "path", "body"),
    [
        ("zhiqite", "/AIGCImgOpenServ/saas/sd/v2/text2image", ZHIQITE[0][1] | {"callbackUrl": CALLBACK}),
        ("stablediffusionapi", "/api/v3/text2img", V3_API | {"webhook": CALLBACK, "track_id": 7}),
        ("smzdm", "/pictures/change_background", SMZDM[1][1] | {"callback_url": CALLBACK, "taskid": 7}),
    ],
)
def test_command_has_no_callback(dialect, path, body, credentials, web):
    sent = json.loads(json.dumps(body).replace("{web}", web.url("")))
    job = post(path, sent, credentials)
    assert job.has_callback
    assert CALLBACK not in curl(job, dialect).command


def test_inline_image_is_sent_by_its_url(credentials):
    inline = {"base64": True, "init_image": "data:image/png;base64," + encoded(png())}
    job = post("/api/v3/img2img", V3_API | inline, credentials)
    path, body = path_and_body(job, "stablediffusionapi")
    assert body["init_image"].startswith(f"{BASE}/inputs/")
    assert post(path, body, credentials).request == job.request


def test_native_command_names_the_images_of_another_dialects_job(credentials, other_source, web):
    job = post("/api/v3/img2img", V3_API | {"init_image": web.url("/image.png")}, credentials)
    path, body = path_and_body(job, "native")
    assert body["init_images"] == [job.generation_request.init_images[0].sha256]
    assert post(path, body, credentials).request == job.request
    foreign, secret = AccessKey.issue(other_source)
    headers = {"Authorization": f"Bearer {foreign.key_id}:{secret}"}
    refused = Client().post(path, body, content_type="application/json", headers=headers)
    assert (refused.status_code, refused.json()["detail"]) == (422, "An input image was not found.")


def test_job_has_commands_for_its_own_dialect_and_the_native_api(credentials):
    job = post("/api/v3/text2img", V3_API, credentials)
    assert [curl.dialect for curl in commands(job, BASE)] == ["stablediffusionapi", "native"]


def test_job_of_no_dialect_has_a_native_command_only(submission):
    job = admit(submission(dialect="internal"))
    assert [curl.dialect for curl in commands(job, BASE)] == ["native"]


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_volcengine_command_computes_its_signature(submission, credentials, tmp_path, checkpoint):
    StylePreset.objects.create(key="styled", task=StylePreset.Task.TXT2IMG, width=64, height=64, steps=3)
    received = {"req_key": "styled", "prompt": "it's ) a $HOME `id` 圆"}
    job = admit(submission(dialect="volcengine", operation="CVProcess", received=received, seed=7))
    (tmp_path / "curl").write_text('#!/bin/sh\nfor part in "$@"; do printf "%s\\0" "$part"; done; cat\n')
    (tmp_path / "curl").chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    environment |= dict(zip(("KEY_ID", "SECRET"), credentials, strict=True))
    command = commands(job, BASE)[0].command
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, check=True)
    parts = done.stdout.decode().split("\0")
    sent = dict(part.split(": ", 1) for part in parts if ": " in part[:40] and not part.startswith("{"))
    text = parts[-1]
    assert json.loads(text)["prompt"] == received["prompt"]
    del sent["Content-Type"]
    response = Client(HTTP_HOST="testserver").post(
        next(part for part in parts if part.startswith(BASE)).removeprefix(BASE),
        text,
        content_type="application/json",
        headers=sent,
    )
    again = Job.objects.exclude(pk=job.pk).first()
    assert again is not None, response.content.decode()[-260:]
    assert (again.request["prompt"], again.request["seed"]) == (received["prompt"], 7)
