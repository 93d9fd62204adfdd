"""Every dialect looks up a request's Idempotency-Key before it fetches or reads an input image."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from access.models import AccessKey
from dialects.native.models import UploadedImage
from jobs.models import Job, Runner
from models_registry.models import Family, Kind, ModelFile, StylePreset
from tests.dialects.a1111.conftest import Caller as A1111
from tests.dialects.native.conftest import Caller as Native
from tests.dialects.openai.conftest import Caller as OpenAI
from tests.dialects.volcengine.conftest import STYLE
from tests.dialects.volcengine.conftest import Caller as Volcengine
from tests.dialects.zhiqite.conftest import PREFIX, credentials, generation_body
from tests.support.fake_runner import png
from tests.support.web_server import WebServer, answer

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

IMAGE = "/red.png"
IDEMPOTENCY_KEY = {"Idempotency-Key": "once"}
SIZE = {"width": 128, "height": 128}
PROMPT = {"prompt": "a red circle"}


def a1111(key: AccessKey, secret: str, url: str) -> Any:
    body = {"init_images": [url], **PROMPT, **SIZE}
    client = A1111(key, secret).client
    return client.post("/sdapi/v1/img2img", body, content_type="application/json", headers=IDEMPOTENCY_KEY)


def a1111_extras(key: AccessKey, secret: str, url: str) -> Any:
    client, path = A1111(key, secret).client, "/sdapi/v1/extra-single-image"
    body = {"image": url, "upscaling_resize": 2, "upscaler_1": "Lanczos"}
    return client.post(path, body, content_type="application/json", headers=IDEMPOTENCY_KEY)


def ark(key: AccessKey, secret: str, url: str) -> Any:
    client = Client(headers={"Authorization": f"Bearer {key.key_id}:{secret}"})
    body = {"model": "shapes", "image": url, "size": "128x128", **PROMPT}
    path = "/api/v3/images/generations"
    return client.post(path, body, content_type="application/json", headers=IDEMPOTENCY_KEY)


def openai(key: AccessKey, secret: str, url: str) -> Any:
    body = {"image": url, "size": "128x128", "async": True, **PROMPT}
    return OpenAI(key, secret).post("images/edits", body, **IDEMPOTENCY_KEY)


def openai_form(key: AccessKey, secret: str, url: str) -> Any:
    body = {"image": url, "size": "128x128", "async": True, **PROMPT}
    return OpenAI(key, secret).form("images/edits", body, **IDEMPOTENCY_KEY)


def volcengine(key: AccessKey, secret: str, url: str) -> Any:
    body = {"req_key": STYLE, "image_urls": [url], **PROMPT}
    return Volcengine(key, secret).call("CVProcess", body, **{"idempotency-key": "once"})


def volcengine_task(key: AccessKey, secret: str, url: str) -> Any:
    body = {"req_key": STYLE, "image_urls": [url], **PROMPT}
    return Volcengine(key, secret).call("CVSync2AsyncSubmitTask", body, **{"idempotency-key": "once"})


def stablediffusionapi(key: AccessKey, secret: str, url: str) -> Any:
    body = {"key": f"{key.key_id}:{secret}", "init_image": url, **PROMPT}
    return Client().post("/api/v3/img2img", body, content_type="application/json", headers=IDEMPOTENCY_KEY)


def _zhiqite(key: AccessKey, secret: str, path: str, body: Any) -> Any:
    client = Client(headers=credentials(key.key_id, secret))
    return client.post(PREFIX + path, body, content_type="application/json", headers=IDEMPOTENCY_KEY)


def zhiqite_v2(key: AccessKey, secret: str, url: str) -> Any:
    return _zhiqite(key, secret, "sd/v2/image2image", generation_body({"image_link": url}))


def zhiqite_v3(key: AccessKey, secret: str, url: str) -> Any:
    external = {"baseModelCode": "shapes.safetensors", "businessTaskId": "third", "sourceImageUrl": url}
    body = {**PROMPT, **SIZE, "steps": 4, "saasDrawingExternalImageParameterBO": external}
    return _zhiqite(key, secret, "sd/v3/image2Image", body)


def zhiqite_tool(key: AccessKey, secret: str, url: str) -> Any:
    return _zhiqite(key, secret, "tool/enlarge", {"businessTaskId": "tool", "sourceImage": url})


def _smzdm(key: AccessKey, secret: str, path: str, body: Any) -> Any:
    client = Client(headers={"Authorization": f"Bearer {key.key_id}:{secret}"})
    return client.post(f"/pictures/{path}", body, content_type="application/json", headers=IDEMPOTENCY_KEY)


def smzdm_change_background(key: AccessKey, secret: str, url: str) -> Any:
    body = {"img_url": url, "prompt": "beige", "from": "shop"}
    return _smzdm(key, secret, "change_background", body)


def smzdm_rembg(key: AccessKey, secret: str, url: str) -> Any:
    body = {"img_url": url, "from": "shop", "is_mask": 1, "model": "u2netp"}
    return _smzdm(key, secret, "rembg_img", body)


REQUESTS = [
    a1111,
    a1111_extras,
    ark,
    openai,
    openai_form,
    volcengine,
    volcengine_task,
    stablediffusionapi,
    zhiqite_v2,
    zhiqite_v3,
    zhiqite_tool,
    smzdm_change_background,
    smzdm_rembg,
]


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    server.answers[IMAGE] = answer(200, png(128, 128))
    yield server
    server.close()


@pytest.fixture
def caller(source, checkpoint, settings) -> tuple[AccessKey, str]:
    """A key that may use every dialect, and whose source may reach the web server."""
    settings.JOB_WAIT_S = settings.STABLEDIFFUSIONAPI_WAIT_S = 0
    source.reachable, source.comfyui_by_pipeline = ["127.0.0.1"], True
    source.save()
    ModelFile.objects.create(
        kind=Kind.MATTING, family=Family.UNKNOWN, name="u2netp", path="matting/u2netp.onnx", sha256="1" * 64
    )
    ModelFile.objects.create(
        kind=Kind.CONTROLNET,
        family=Family.SD15,
        name="control_v11p_sd15_lineart",
        path="controlnet/control_v11p_sd15_lineart.pth",
        sha256="2" * 64,
    )
    StylePreset.objects.create(key=STYLE.removesuffix("_usage"), checkpoint=checkpoint)
    Runner.objects.create(name="local", url="http://127.0.0.1:9", slots=4)
    return AccessKey.issue(source)


@pytest.mark.parametrize("send", REQUESTS, ids=lambda send: send.__name__)
def test_replay_does_not_fetch_its_input_image_again(send, caller, web):
    first = send(*caller, web.url(IMAGE))
    jobs = set(Job.objects.values_list("pk", flat=True))
    assert jobs, first.content
    assert [request.path for request in web.asked] == [IMAGE]
    again = send(*caller, web.url(IMAGE))
    assert again.status_code == first.status_code
    assert again.headers.get("X-Job-Id") == first.headers.get("X-Job-Id")
    assert set(Job.objects.values_list("pk", flat=True)) == jobs
    assert [request.path for request in web.asked] == [IMAGE]


@pytest.mark.parametrize("send", REQUESTS, ids=lambda send: send.__name__)
def test_key_of_another_request_is_refused_before_an_image_is_fetched(send, caller, web):
    send(*caller, web.url(IMAGE))
    jobs = Job.objects.count()
    refused = send(*caller, web.url("/another.png"))
    assert "another request" in refused.content.decode()
    assert Job.objects.count() == jobs
    assert [request.path for request in web.asked] == [IMAGE]


def test_native_replay_does_not_look_up_its_input_image_again(caller):
    """The native API takes no input URLs: a request names an uploaded image by its hash."""
    client = Native(*caller)
    sha256 = client.upload(png(128, 128)).json()["sha256"]
    body = {**PROMPT, **SIZE, "task": "img2img", "init_images": [sha256]}
    first = client.post("jobs", body, **IDEMPOTENCY_KEY)
    assert first.status_code == 201, first.content
    UploadedImage.objects.all().delete()
    again = client.post("jobs", body, **IDEMPOTENCY_KEY)
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    assert Job.objects.count() == 1
