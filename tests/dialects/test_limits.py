"""Every limit, refused by every dialect in its own words on the wire, with Retry-After where waiting helps."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from access.models import AccessKey, BusinessSource
from jobs.admission.admit import admit
from jobs.models import Job, Runner
from models_registry.models import Family, Kind, ModelFile, StylePreset
from tests.dialects.a1111.conftest import Caller as A1111
from tests.dialects.native.conftest import Caller as Native
from tests.dialects.volcengine.conftest import STYLE, encoded
from tests.dialects.volcengine.conftest import Caller as Volcengine
from tests.dialects.zhiqite.conftest import PREFIX, credentials, drawing
from tests.support.fake_runner import png
from tests.support.web_server import WebServer, answer

SIZE = {"width": 128, "height": 128}
PROMPT = {"prompt": "a red circle"}


@dataclass
class Told:
    status: int
    code: Any  # what the dialect's clients look at
    message: str
    retry_after: str | None


def _told(response: Any, code: Callable[[Any], Any], message: Callable[[Any], Any]) -> Told:
    body = response.json()
    return Told(response.status_code, code(body), str(message(body)), response.headers.get("Retry-After"))


def a1111(key: AccessKey, secret: str, web: WebServer) -> Told:
    body = A1111(key, secret).post("txt2img", PROMPT | SIZE)
    return _told(body, lambda told: None, lambda told: told["detail"])


def native(key: AccessKey, secret: str, web: WebServer) -> Told:
    response = Native(key, secret).post("jobs", PROMPT | SIZE)
    return _told(response, lambda told: told.get("code"), lambda told: told.get("detail"))


def stablediffusionapi(key: AccessKey, secret: str, web: WebServer, edition: str = "v3") -> Told:
    path = "v3/text2img" if edition == "v3" else "v6/realtime/text2img"
    body = {"key": f"{key.key_id}:{secret}"} | PROMPT | {"width": "128", "height": "128"}
    response = Client().post(f"/api/{path}", body, content_type="application/json")
    return _told(response, lambda told: told["status"], lambda told: told["message"])


def stablediffusionapi_v6(key: AccessKey, secret: str, web: WebServer) -> Told:
    return stablediffusionapi(key, secret, web, "v6")


def volcengine(key: AccessKey, secret: str, web: WebServer) -> Told:
    response = Volcengine(key, secret).call(
        "CVSync2AsyncSubmitTask", {"req_key": STYLE, **PROMPT, "binary_data_base64": [encoded(png(128, 128))]}
    )
    return _told(response, lambda told: told.get("code"), lambda told: told.get("message", told))


def zhiqite(key: AccessKey, secret: str, web: WebServer) -> Told:
    client = Client(headers=credentials(key.key_id, secret))
    response = client.post(f"{PREFIX}sd/v2/text2image", drawing(), content_type="application/json")
    return _told(response, lambda told: told["code"], lambda told: told["msg"])


def smzdm(key: AccessKey, secret: str, web: WebServer) -> Told:
    client = Client(headers={"Authorization": f"Bearer {key.key_id}:{secret}"})
    body = {
        "img_url": web.url("/red.png"),
        "prompt": "beige",
        "from": "shop",
        "callback_url": "http://93.184.215.14/done",
        "taskid": 7,
    }
    response = client.post("/pictures/change_background", body, content_type="application/json")
    return _told(response, lambda told: told["error_code"], lambda told: told["error_msg"])


DIALECTS = {
    function.__name__: function
    for function in (a1111, native, stablediffusionapi, stablediffusionapi_v6, volcengine, zhiqite, smzdm)
}
# By kind of refusal: HTTP's status and the dialect's own code.
EXPECTED: dict[str, dict[str, tuple[int, Any]]] = {
    "a1111": {
        "rate": (429, None),
        "queue": (429, None),
        "quota": (429, None),
        "budget": (402, None),
        "model": (403, None),
        "size": (422, None),
        "expired": (401, None),
        "dialect": (401, None),
    },
    "native": {
        "rate": (429, "rate_limited"),
        "queue": (429, "queue_full"),
        "quota": (429, "quota_exhausted"),
        "budget": (402, "budget_exhausted"),
        "model": (403, "model_not_allowed"),
        "size": (422, "over_limit"),
        "expired": (403, "forbidden"),
        "dialect": (403, "forbidden"),
    },
    "stablediffusionapi": dict.fromkeys(
        ("rate", "queue", "quota", "budget", "model", "size", "expired", "dialect"), (200, "error")
    ),
    "stablediffusionapi_v6": {
        "rate": (429, "error"),
        "queue": (429, "error"),
        "quota": (402, "error"),
        "budget": (402, "error"),
        "model": (403, "error"),
        "size": (400, "error"),
        "expired": (401, "error"),
        "dialect": (401, "error"),
    },
    "volcengine": {
        "rate": (429, 50429),
        "queue": (429, 50430),
        "quota": (429, 50429),
        "budget": (401, 50400),
        "model": (401, 50400),
        "size": (400, 50200),
        "expired": (403, None),
        "dialect": (403, None),
    },
    "zhiqite": dict.fromkeys(
        ("rate", "queue", "quota", "budget", "model", "size", "expired", "dialect"), (200, "400")
    ),
    "smzdm": {
        "rate": (200, 1005),
        "queue": (200, 1005),
        "quota": (200, 1005),
        "budget": (200, 1006),
        "model": (200, 1003),
        "size": (200, 1001),
        "expired": (200, 1006),
        "dialect": (200, 1006),
    },
}
OF_A_KEY_ALONE = {("volcengine", "expired"): (401, None)}  # its gateway knows no such key any more
LATER = {"rate", "queue", "quota"}  # waiting helps
SAID = {"queue": "in the queue", "quota": "left today", "budget": "budget", "model": "may not use"}
OWN_WORDS = {
    ("stablediffusionapi", "queue"): "Rate limit exceeded",
    ("stablediffusionapi", "rate"): "Rate limit exceeded",
    ("stablediffusionapi_v6", "rate"): "Rate limit exceeded. Too many requests",
    ("stablediffusionapi", "quota"): "Insufficient credits. ",
    ("volcengine", "rate"): "Request Has Reached API Limit, Please Try Later",
    ("volcengine", "queue"): "Request Has Reached API Concurrent Limit, Please Try Later",
    ("volcengine", "budget"): "Access Denied: ",
}


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    server.answers["/red.png"] = answer(200, png(128, 128))
    yield server
    server.close()


@pytest.fixture
def caller(source, checkpoint, settings, web) -> tuple[AccessKey, str]:
    """Whom all dialects serve."""
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


def limit(kind: str, holder: BusinessSource | AccessKey, submission: Any) -> None:
    """So that the next request meets it."""
    admitted = admit(submission())
    fields: dict[str, Any] = {
        "rate": {"requests_per_second": 0.01},
        "queue": {"max_queued_jobs": 1},
        "quota": {"images_per_day": 1},
        "budget": {"total_budget": admitted.cost_estimate},
        "model": {"allowed_models": ["checkpoint:another*"]},
        "size": {"max_width": 64, "max_height": 64},
        "expired": {"expires_at": timezone.now() - timedelta(seconds=1)},
        "dialect": {"dialects": ["none of these"]},
    }[kind]
    type(holder).objects.filter(pk=holder.pk).update(**fields)


KINDS = sorted(EXPECTED["native"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_keys_limit_is_refused_in_the_dialects_own_words(dialect, kind, caller, submission, web):
    key, secret = caller
    limit(kind, key, lambda: submission(key=key))
    if kind == "rate":
        DIALECTS[dialect](key, secret, web)
    before = Job.objects.count()
    told = DIALECTS[dialect](key, secret, web)
    expected = OF_A_KEY_ALONE.get((dialect, kind)) or EXPECTED[dialect][kind]
    assert (told.status, told.code) == expected, told
    assert (told.retry_after is not None and int(told.retry_after) > 0) == (kind in LATER), told
    words = OWN_WORDS.get((dialect, kind), SAID.get(kind, ""))
    assert words in told.message
    assert Job.objects.count() == before


@pytest.mark.parametrize("kind", sorted({*KINDS} - {"model"}))
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_sources_limit_is_refused_alike(dialect, kind, caller, submission, source, web):
    key, secret = caller
    limit(kind, source, lambda: submission(key=AccessKey.issue(source)[0]))
    if kind == "rate":
        DIALECTS[dialect](key, secret, web)
    told = DIALECTS[dialect](key, secret, web)
    assert (told.status, told.code) == EXPECTED[dialect][kind], told
    assert (told.retry_after is not None) == (kind in LATER), told


@pytest.mark.parametrize("dialect", DIALECTS)
def test_within_its_limits_it_draws(dialect, caller, web):
    key, _secret = caller
    generous = {
        "requests_per_second": 100,
        "images_per_day": 9,
        "total_budget": Decimal(9),
        "max_width": 4096,
    }
    AccessKey.objects.filter(pk=key.pk).update(**generous, allowed_models=["checkpoint:shapes", "vae:none"])
    told = DIALECTS[dialect](*caller, web)
    assert Job.objects.filter(key=key).count() == 1, told
