"""A checkpoint's defaults are used by every dialect where a request says nothing; and who may use which checkpoint."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from access.models import AccessKey
from jobs.models import Job, Runner
from models_registry.models import Family, Kind, ModelFile, StylePreset
from tests.dialects.a1111.conftest import Caller as A1111
from tests.dialects.native.conftest import Caller as Native
from tests.dialects.openai.conftest import Caller as OpenAI
from tests.dialects.volcengine.conftest import Caller as Volcengine
from tests.dialects.zhiqite.conftest import PREFIX, credentials
from tests.support.fake_runner import png
from tests.support.web_server import WebServer, answer

pytestmark = pytest.mark.slow

DEFAULTS = {
    "default_steps": 8,
    "default_guidance_scale": 1.5,
    "default_sampler": "Euler a",
    "default_scheduler": "SGM Uniform",
    "default_width": 640,
    "default_height": 384,
    "default_clip_skip": 2,
    "default_negative_prompt": "blurry",
    "prompt_prefix": "best quality,",
}
SAMPLING = {
    "num_inference_steps": 8,
    "guidance_scale": 1.5,
    "sampler": "Euler a",
    "scheduler": "SGM Uniform",
    "clip_skip": 2,
    "negative_prompt": "blurry",
    "prompt": "best quality, a red circle",
}
WHOLE = SAMPLING | {"width": 640, "height": 384}
SAID = {
    "num_inference_steps": 5,
    "guidance_scale": 3.0,
    "sampler": "Heun",
    "scheduler": "Automatic",
    "clip_skip": 1,
    "negative_prompt": "",
    "width": 128,
    "height": 256,
}
PROMPT = {"prompt": "a red circle"}
SIZE = {"width": 128, "height": 256}


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    server.answers["/red.png"] = answer(200, png(128, 128))
    yield server
    server.close()


@pytest.fixture
def caller(source, checkpoint, settings, web) -> tuple[AccessKey, str]:
    settings.JOB_WAIT_S = settings.STABLEDIFFUSIONAPI_WAIT_S = 0
    ModelFile.objects.filter(pk=checkpoint.pk).update(**DEFAULTS)
    source.reachable, source.comfyui_by_pipeline = ["127.0.0.1"], True
    source.save()
    ModelFile.objects.create(
        kind=Kind.MATTING,
        family=Family.UNKNOWN,
        name="u2netp",
        path="matting/u2netp.onnx",
        sha256="1" * 64,
        commercial_use="yes",
    )
    StylePreset.objects.create(
        key="plain", task="txt2img", checkpoint=checkpoint, sampler="DDIM", scheduler="Uniform"
    )
    Runner.objects.create(name="local", url="http://127.0.0.1:9", slots=4)
    return AccessKey.issue(source)


def a1111(key: AccessKey, secret: str, web: WebServer, **said: Any) -> Any:
    return A1111(key, secret).post("txt2img", PROMPT | said)


def ark(key: AccessKey, secret: str, web: WebServer, **said: Any) -> Any:
    client = Client(headers={"Authorization": f"Bearer {key.key_id}:{secret}"})
    body = {"model": "shapes", "watermark": False, **PROMPT, **said}
    return client.post("/api/v3/images/generations", body, content_type="application/json")


def native(key: AccessKey, secret: str, web: WebServer, **said: Any) -> Any:
    return Native(key, secret).post("jobs", PROMPT | said)


def openai(key: AccessKey, secret: str, web: WebServer, **said: Any) -> Any:
    return OpenAI(key, secret).post("images/generations", PROMPT | {"async": True} | said)


def stablediffusionapi(key: AccessKey, secret: str, web: WebServer, **said: Any) -> Any:
    body = {"key": f"{key.key_id}:{secret}", "model_id": "shapes", **PROMPT, **said}
    return Client().post("/api/v4/dreambooth", body, content_type="application/json")


def volcengine(key: AccessKey, secret: str, web: WebServer, **said: Any) -> Any:
    return Volcengine(key, secret).call("CVSync2AsyncSubmitTask", {"req_key": "plain", **PROMPT, **said})


def zhiqite_v2(key: AccessKey, secret: str, web: WebServer, **said: Any) -> Any:
    overrides = {"CLIP_stop_at_last_layers": said.pop("clip_skip")} if "clip_skip" in said else {}
    scripts = {"sd_model_checkpoint": "shapes", "id_task": "second", "override_settings": overrides}
    client = Client(headers=credentials(key.key_id, secret))
    body = {**PROMPT, **said, "alwayson_scripts": scripts}
    return client.post(f"{PREFIX}sd/v2/text2image", body, content_type="application/json")


def zhiqite_v3(key: AccessKey, secret: str, web: WebServer, **said: Any) -> Any:
    external = {"baseModelCode": "shapes", "businessTaskId": "third"}
    client = Client(headers=credentials(key.key_id, secret))
    body = {**PROMPT, **said, "saasDrawingExternalImageParameterBO": external}
    return client.post(f"{PREFIX}sd/v3/text2Image", body, content_type="application/json")


def smzdm(key: AccessKey, secret: str, web: WebServer, **said: Any) -> Any:
    client = Client(headers={"Authorization": f"Bearer {key.key_id}:{secret}"})
    target = {"from": "shop", "callback_url": "http://93.184.215.14/done", "taskid": 7}
    body = {"img_url": web.url("/red.png"), "is_controlnet": False, **PROMPT, **target, **said}
    return client.post("/pictures/change_background", body, content_type="application/json")


# Each dialect: what a request without the fields gets, the fields as it names them, and those that it has not.
A1111_SAID = {
    "steps": 5,
    "cfg_scale": 3,
    "sampler_name": "Heun",
    "negative_prompt": "",
    "override_settings": {"CLIP_stop_at_last_layers": 1},
    **SIZE,
}
V3_SAID = {"steps": 5, "promptGuidanceFactor": 3, "samplerIndex": "Heun", "negativePrompt": "none", **SIZE}
CASES: dict[Callable[..., Any], tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    a1111: (WHOLE, A1111_SAID, SAID),
    ark: (WHOLE, {"size": "128x256", "guidance_scale": 3}, SAMPLING | {"guidance_scale": 3.0} | SIZE),
    native: (WHOLE, {"clip_skip": 1, **{k: v for k, v in SAID.items() if k != "scheduler"}}, SAID),
    openai: (
        WHOLE,
        {"steps": 5, "guidance_scale": 3, "sampler": "Heun", "clip_skip": 1, "negative_prompt": ""}
        | {"size": "128x256"},
        SAID,
    ),
    stablediffusionapi: (
        WHOLE,
        {"num_inference_steps": 5, "guidance_scale": 3, "scheduler": "HeunDiscreteScheduler"}
        | {"clip_skip": 1, "negative_prompt": "ugly", "use_karras_sigmas": True, **SIZE},
        SAID | {"negative_prompt": "ugly", "scheduler": "Karras"},
    ),
    # The preset has all parameters but the texts.
    volcengine: (
        {"prompt": WHOLE["prompt"], "negative_prompt": "blurry", "sampler": "DDIM", "clip_skip": 1},
        {"u_prompt": "ugly"},
        {"prompt": WHOLE["prompt"], "negative_prompt": "ugly"},
    ),
    zhiqite_v2: (
        WHOLE,
        {
            "steps": 5,
            "cfg_scale": 3,
            "sampler_index": "Heun",
            "negative_prompt": "none",
            "clip_skip": 1,
            **SIZE,
        },
        SAID | {"negative_prompt": "none"},
    ),
    zhiqite_v3: (WHOLE, V3_SAID, SAID | {"negative_prompt": "none", "clip_skip": 2}),
    smzdm: (
        SAMPLING,
        {"steps": 5, "negative_prompt": "ugly"},
        SAMPLING | {"num_inference_steps": 5, "negative_prompt": "ugly"},
    ),
}


@pytest.mark.parametrize("send", CASES, ids=lambda send: send.__name__)
def test_request_that_says_nothing_has_the_defaults_of_its_checkpoint(send, caller, web):
    nothing, said, expected = CASES[send]
    for fields, wanted in ((({}), nothing), (said, expected)):
        Job.objects.all().delete()
        response = send(*caller, web, **fields)
        drawn = Job.objects.get().request if Job.objects.exists() else response.content
        assert {name: drawn[name] for name in wanted} == wanted
    assert drawn["prompt"] == "best quality, a red circle"


def test_defaults_stay_within_the_limits_of_source_and_key(caller, web):
    key, secret = caller
    type(key).objects.filter(pk=key.pk).update(max_steps=6, max_width=320)
    assert native(key, secret, web).status_code == 201
    drawn = Job.objects.get().request
    assert (drawn["num_inference_steps"], drawn["width"], drawn["height"]) == (6, 320, 192)


@pytest.mark.parametrize("send", CASES, ids=lambda send: send.__name__)
def test_checkpoint_not_for_commercial_use_is_refused_with_its_name(send, caller, web):
    key, secret = caller
    key.source.commercial_models_only = True
    key.source.save()
    refused = send(key, secret, web)
    assert "shapes: its commercial use is not marked as permitted" in refused.content.decode()
    assert refused.status_code in (200, 400, 403, 404, 422)
    assert not Job.objects.exists()
    ModelFile.objects.update(commercial_use="yes")
    send(key, secret, web)
    assert Job.objects.count() == 1
