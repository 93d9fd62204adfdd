"""Models that are loaded from URLs: the request, its state and callback, and disabling."""

import json
import uuid

import pytest

from access.models import AccessKey
from jobs.models import ModelIntake
from models_registry.models import ModelFile
from tests.support.model_files_server import demo_file, work
from tests.support.web_server import WebServer, answer

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]

NIGHT = {"name": "midnight", "kind": "lora"}


@pytest.fixture(autouse=True)
def models_root(settings, tmp_path):
    settings.MODELS_ROOT = tmp_path / "models"
    settings.MODELS_ROOT.mkdir()


@pytest.fixture
def manager(caller, checkpoint, source):
    return caller(*AccessKey.issue(source, manages_models=True))


@pytest.fixture
def files(source):
    server = WebServer()
    server.answers["/night.safetensors"] = answer(200, demo_file("loras/atelier-night.safetensors"))
    server.answers["/hook"] = answer(200)
    source.reachable = ["127.0.0.1"]
    source.save()
    yield server
    server.close()


@pytest.fixture
def url(files):
    return files.url("/night.safetensors")


def test_model_is_loaded_and_its_state_is_polled(manager, url):
    response = manager.post("models/intakes", NIGHT | {"url": url + "?token=secret"})
    assert response.status_code == 201
    intake = response.json()
    assert (intake["state"], intake["address"], intake["model"]) == ("queued", url, None)
    assert response["Location"] == intake["url"]


def test_ready_model_is_listed(manager, url):
    created = manager.post("models/intakes", NIGHT | {"url": url, "family": "sd15", "format": "safetensors"})
    work()
    intake = manager.client.get(created["Location"]).json()
    assert (intake["state"], intake["model"], intake["kind"], intake["error"]) == (
        "ready",
        "midnight",
        "lora",
        None,
    )
    (listed,) = manager.get("models", {"kind": "lora"}).json()["items"]
    assert (listed["name"], listed["sha256"]) == ("midnight", intake["sha256"])
    assert manager.get("models/intakes").json()["items"] == [intake]


def test_callback_has_the_intake(manager, files, url):
    intake = manager.post("models/intakes", NIGHT | {"url": url, "callback_url": files.url("/hook")}).json()
    work()
    (call,) = [asked for asked in files.asked if asked.path == "/hook"]
    body = json.loads(call.body)
    assert (body["id"], body["state"], body["model"]) == (intake["id"], "ready", "midnight")
    assert body["url"] == "http://testserver" + intake["url"]


def test_failed_intake_has_its_error(manager, files):
    created = manager.post("models/intakes", {"name": "x", "url": files.url("/nothing")})
    work()
    intake = manager.client.get(created["Location"]).json()
    assert (intake["state"], intake["error"]) == ("failed", "127.0.0.1 returned status 404.")


def test_model_is_disabled(manager, url):
    location = manager.post("models/intakes", NIGHT | {"url": url})["Location"]
    assert manager.client.delete(location).status_code == 409
    work()
    assert manager.client.delete(location).status_code == 200
    assert not ModelFile.objects.get(name="midnight").enabled
    assert manager.client.delete(location).json()["code"] == "not_removable"


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ({"name": "a/b"}, 422, "name"),
        ({"name": ""}, 422, "name"),
        ({"kind": "nsfw"}, 422, "kind"),
        ({"family": "flux"}, 422, "family"),
        ({"more": 1}, 422, "more"),
        ({"url": "http://10.0.0.5/x"}, 422, "url"),
        ({"url": "some/repository"}, 422, "url"),
        ({"url": None}, 422, "url"),
        ({"callback_url": "http://10.0.0.5/x"}, 422, "callback_url"),
        ({"name": "shapes", "kind": "checkpoint"}, 409, "name"),
    ],
)
def test_refused_request_names_its_field(manager, url, fields, status, field):
    response = manager.post("models/intakes", NIGHT | {"url": url} | fields)
    assert (response.status_code, response.json()["field"]) == (status, field)
    assert not ModelIntake.objects.exists()


def test_key_without_the_right_is_forbidden(alice, url):
    for response in (
        alice.post("models/intakes", NIGHT | {"url": url}),
        alice.get("models/intakes"),
        alice.get(f"models/intakes/{uuid.uuid4()}"),
    ):
        assert (response.status_code, response.json()["code"]) == (403, "forbidden")


def test_intakes_of_other_sources_are_not_found(manager, caller, other_source, url):
    location = manager.post("models/intakes", NIGHT | {"url": url})["Location"]
    other = caller(*AccessKey.issue(other_source, manages_models=True))
    assert other.client.get(location).status_code == other.client.delete(location).status_code == 404
    assert other.get("models/intakes").json()["items"] == []


def test_key_may_not_load_a_model_that_it_may_not_use(caller, checkpoint, source, url):
    key = AccessKey.issue(source, manages_models=True, allowed_models=["lora:day*"])
    response = caller(*key).post("models/intakes", NIGHT | {"url": url})
    assert (response.status_code, response.json()["code"]) == (403, "model_not_allowed")
