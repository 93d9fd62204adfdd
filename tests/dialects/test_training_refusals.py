"""Bad trainings at every entrance: a clear error in the shape of its API, and nothing stored or held."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from access.models import AccessKey, Membership, Posting
from jobs.models import Backend, InputPicture, Job, Runner
from models_registry.models import Family, ModelFile
from tests.dialects.zhiqite.conftest import PREFIX, credentials
from tests.support.training_jobs import pink_discs
from tests.support.web_server import WebServer, answer

pytestmark = pytest.mark.slow

IMAGES = [(f"{number}.png", data) for number, data in enumerate(pink_discs(10, side=64))]
MAX_STEPS = 50  # of the source
FORBIDDEN = "http://10.0.0.1/hook"


def zipped(**files: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


@dataclass(frozen=True)
class Case:
    """``files``: of a form, ``.txt`` with captions among them. ``words``: what every entrance tells; empty: its own words."""

    files: list[tuple[str, bytes]] = field(default_factory=lambda: IMAGES)
    archive: bytes | None = None
    base: str = "shapes"
    steps: int = 10
    callback: str = ""
    words: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether it can be told by URLs or data URIs of images, without names of files."""
        return self.archive is None and not any(name.endswith(".txt") for name, _data in self.files)


CASES = {
    "no images": Case([]),
    "one image": Case(IMAGES[:1]),
    "500 images": Case(IMAGES * 50),
    "no image among them": Case([*IMAGES[:9], ("9.png", b"text")]),
    "ZIP among images": Case([*IMAGES[:9], ("9.png", zipped(a=b"text"))]),
    "same image twice": Case([*IMAGES[:9], ("9.png", IMAGES[0][1])], words="The same image as"),
    "ZIP bomb": Case([], zipped(**{"a.png": bytes(20 << 20)}), words="compressed more than 100 times"),
    "ZIP with paths": Case([], zipped(**{"../a.png": IMAGES[0][1]}), words="leads out of the archive"),
    "captions without images": Case([*IMAGES, ("other.txt", b"a")], words="no image with this name"),
    "unknown base": Case(base="nowhere", words="nowhere"),
    "untrainable base": Case(base="flux", words="cannot be trained"),
    "steps beyond the quota": Case(steps=60, words=f"at most {MAX_STEPS} for"),
    "forbidden webhook": Case(callback=FORBIDDEN, words="10.0.0.1"),
}


@dataclass(frozen=True)
class Tenant:
    key: AccessKey
    secret: str
    web: WebServer

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key.key_id}:{self.secret}"}

    def urls(self, case: Case) -> list[str]:
        for number, (_name, data) in enumerate(case.files[:10]):
            self.web.answers[f"/{number}.png"] = answer(200, data)
        return [self.web.url(f"/{number % 10}.png") for number in range(len(case.files))]


def _native_fields(case: Case) -> dict[str, Any]:
    fields = {"name": "zorb", "base": case.base, "steps": case.steps, "resolution": 128}
    return fields | ({"callback_url": case.callback} if case.callback else {})


def _form(case: Case) -> dict[str, Any]:
    images = [SimpleUploadedFile(name, data) for name, data in case.files]
    archive = {"archive": SimpleUploadedFile("a.zip", case.archive)} if case.archive else {}
    return _native_fields(case) | {"images": images} | archive


def native(tenant: Tenant, case: Case) -> tuple[bool, str]:
    body = _native_fields(case)
    if case.is_plain:
        body["images"] = [{"image": base64.b64encode(data).decode()} for _name, data in case.files]
    if case.archive:
        body["archive"] = base64.b64encode(case.archive).decode()
    client = Client(headers=tenant.bearer)
    if not case.is_plain and case.archive is None:  # captions in files
        return _problem(client.post("/api/v1/trainings", _form(case)))
    return _problem(client.post("/api/v1/trainings", body, content_type="application/json"))


def console(tenant: Tenant, case: Case) -> tuple[bool, str]:
    """The form of the console, with the rights of a session."""
    user = get_user_model().objects.create_user("tenant", is_staff=True)
    user.groups.add(Group.objects.get(name="tenant"))
    Membership.objects.create(user=user, source=tenant.key.source)
    client = Client(headers={"X-Atelier-Source": tenant.key.source.name})
    client.force_login(user)
    return _problem(client.post("/api/v1/trainings", _form(case)))


def _problem(response: Any) -> tuple[bool, str]:
    assert response.status_code in (201, 400, 402, 403, 404, 409, 413, 422), response.content
    body = response.json()
    refused = response.status_code != 201
    assert not refused or {"code", "detail"} <= body.keys()
    return refused, json.dumps(body, ensure_ascii=False)


def stablediffusionapi(tenant: Tenant, case: Case) -> tuple[bool, str]:
    body = {
        "key": f"{tenant.key.key_id}:{tenant.secret}",
        "instance_prompt": "zorb",
        "class_prompt": "a disc",
    }
    body |= {"images": tenant.urls(case), "max_train_steps": str(case.steps), "base_model_id": case.base}
    body |= {"webhook": case.callback} if case.callback else {}
    response = Client().post("/api/v3/fine_tune", body, content_type="application/json")
    assert response.status_code == 200, response.content
    told = response.json()
    assert told["status"] in ("success", "error")
    return told["status"] == "error", json.dumps(told, ensure_ascii=False)


def zhiqite(tenant: Tenant, case: Case) -> tuple[bool, str]:
    body = {"taskId": "zorb", "fileUrlList": tenant.urls(case), "pretrainedModel": case.base, "maxEpochs": 10}
    # Ten images in batches of ten: a step for each epoch.
    body |= {"repeats": case.steps // 10, "batchSize": 2, "gradientAccumulationSteps": 5}
    body |= {"callbackUrl": case.callback} if case.callback else {}
    client = Client(headers=credentials(tenant.key.key_id, tenant.secret))
    response = client.post(f"{PREFIX}modelTraining/submitTraining/Job", body, content_type="application/json")
    assert response.status_code == 200, response.content
    told = response.json()
    assert told.keys() == {"code", "msg", "data"}
    return told["code"] == "400", told["msg"]


ENTRANCES: dict[str, Callable[[Tenant, Case], tuple[bool, str]]] = {
    entrance.__name__: entrance for entrance in (native, console, stablediffusionapi, zhiqite)
}
OF_FILES = ("native", "console")
TABLE = [
    (entrance, case)
    for entrance in ENTRANCES
    for case in CASES
    if CASES[case].is_plain or entrance in OF_FILES
]


@pytest.fixture
def tenant(source, checkpoint):
    Runner.objects.create(name="trainer", url="http://127.0.0.1:1", backend=Backend.TRAINING)
    ModelFile.objects.create(
        kind=checkpoint.kind, family=Family.FLUX1, name="flux", path="checkpoints/flux.safetensors"
    )
    web = WebServer()
    source.reachable, source.max_training_steps, source.max_images = ["127.0.0.1"], MAX_STEPS, 20
    source.save()
    yield Tenant(*AccessKey.issue(source), web)
    web.close()


@pytest.mark.parametrize(("entrance", "case"), TABLE, ids=[" ".join(row) for row in TABLE])
def test_bad_training_is_refused_and_nothing_is_held(tenant, entrance, case):
    refused, told = ENTRANCES[entrance](tenant, CASES[case])
    assert refused, told
    assert CASES[case].words in told
    assert not Job.objects.exists()
    assert not Posting.objects.exists()
    assert not InputPicture.objects.exists()


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_good_training_is_admitted_by_the_same_request(tenant, entrance):
    refused, told = ENTRANCES[entrance](tenant, Case(callback=tenant.web.url("/hook")))
    assert not refused, told
    job = Job.objects.get()
    assert (job.generation_request.training.steps, job.has_callback) == (10, True)
