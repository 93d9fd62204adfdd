"""Models from URLs in the console: an operator adds one, and sees who has loaded what, and with which outcome."""

import pytest

from access.models import AccessKey
from jobs.model_intake.submission import IntakeRequest, submit
from jobs.models import Callback, ModelIntake
from jobs.outbound.callbacks.outbox import CallbackRequest
from models_registry.models import ModelFile
from models_registry.selectors import list_for
from tests.support.model_files_server import demo_file, work
from tests.support.web_server import WebServer, answer

pytestmark = pytest.mark.django_db

PAGE = "/admin/models_registry/lora/load/"


@pytest.fixture(autouse=True)
def models_root(settings, tmp_path):
    settings.MODELS_ROOT = tmp_path / "models"
    settings.MODELS_ROOT.mkdir()
    settings.OUTBOUND_ALLOWED = ["127.0.0.1"]


@pytest.fixture
def url():
    server = WebServer()
    server.answers["/night.safetensors?token=secret"] = answer(
        200, demo_file("loras/atelier-night.safetensors")
    )
    yield server.url("/night.safetensors?token=secret")
    server.close()


@pytest.fixture
def intake(source, url):
    key, _secret = AccessKey.issue(source, manages_models=True)
    callback = CallbackRequest("http://127.0.0.1:9/hook", extra={"track_id": None})
    request = IntakeRequest(source, key, key.key_id, "stablediffusionapi", url, "midnight", callback=callback)
    return submit(request)


def test_operator_loads_a_model_for_all_sources(ops, url, source, other_source):
    assert "as detected" in ops.get(PAGE).content.decode()
    response = ops.post(PAGE, {"url": url, "name": "midnight", "kind": "lora"}, follow=True)
    assert "midnight is loaded in the background" in response.content.decode()
    work()
    file = ModelFile.objects.get()
    assert (file.name, file.path) == ("midnight", "loras/midnight.safetensors")
    assert all(file in list_for("lora", anyone) for anyone in (source, other_source))
    page = ops.get("/admin/jobs/modelintake/").content.decode()
    assert "console: admin" in page
    assert "ready" in page


def test_operator_loads_a_model_for_one_source(ops, url, source, other_source):
    ops.post(PAGE, {"url": url, "name": "midnight", "source": source.pk})
    work()
    file = ModelFile.objects.get()
    assert file in list_for("lora", source)
    assert file not in list_for("lora", other_source)


@pytest.mark.parametrize(
    "fields", [{"name": "a/b"}, {"url": "http://10.0.0.5/x"}, {"url": "some/repository"}, {"name": ""}]
)
def test_refused_request_is_told_on_the_page(ops, url, fields):
    response = ops.post(PAGE, {"url": url, "name": "midnight", "kind": "lora"} | fields)
    assert response.status_code == 200
    assert response.context["form"].errors.keys() == fields.keys()
    assert not ModelIntake.objects.exists()


def test_list_shows_who_and_the_error_and_no_token(ops, intake):
    ModelIntake.objects.update(state="failed", error="The URL gives a web page")
    for page in ("/admin/jobs/modelintake/", f"/admin/jobs/modelintake/{intake.pk}/change/"):
        text = ops.get(page).content.decode()
        assert intake.key.key_id in text
        assert "The URL gives a web page" in text
        assert "secret" not in text


def test_list_of_callbacks_shows_those_of_intakes(ops, intake):
    callback = Callback.objects.get()
    assert f"/admin/jobs/modelintake/{intake.pk}/change/" in ops.get("/admin/jobs/callback/").content.decode()
    assert ops.get(f"/admin/jobs/callback/{callback.pk}/change/").status_code == 200


def test_tenant_sees_its_own_intakes_only(sign_in, intake, other_source):
    assert "midnight" in sign_in("tenant", intake.source).get("/admin/jobs/modelintake/").content.decode()


def test_tenant_sees_no_intakes_of_others(sign_in, intake, other_source):
    client = sign_in("tenant", other_source)
    assert "midnight" not in client.get("/admin/jobs/modelintake/").content.decode()
    assert client.get(PAGE).status_code == 403


@pytest.mark.parametrize(
    ("role", "status"), [("viewer", 403), ("finance", 403), ("operator", 200), ("admin", 200)]
)
def test_roles_that_load_models(sign_in, role, status):
    assert sign_in(role).get(PAGE).status_code == status


def test_intake_is_cancelled_and_its_page_shows_live_progress(ops, act, intake):
    ModelIntake.objects.update(state="running", received_bytes=512, total_bytes=2048)
    cells = ops.get("/admin/jobs/modelintake/live/").content.decode()
    assert f'id="intake-{intake.pk}-received"' in cells
    assert "width: 25%" in cells
    act("jobs/modelintake", "cancel", intake)
    intake.refresh_from_db()
    assert (intake.state, intake.error) == ("failed", "Cancelled.")
    assert "secret" not in intake.url
    assert Callback.objects.get().state != "waiting"
    act("jobs/modelintake", "cancel", intake)  # over already
    assert Callback.objects.count() == 1


def test_viewer_cannot_cancel_an_intake(sign_in, intake):
    form = {"action": "cancel", "_selected_action": [intake.pk]}
    sign_in("viewer").post("/admin/jobs/modelintake/", form)
    assert ModelIntake.objects.get().state == "queued"
