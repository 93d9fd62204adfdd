"""Runners in the console: status, buttons and permissions."""

from datetime import timedelta

import pytest
from django.utils import timezone

from gpu_runner.protocol import LoadedModel
from jobs.admission.admit import admit
from jobs.models import Job, Runner, State, TemplateBackOff
from models_registry.models import WorkflowTemplate
from tests.support.fake_runner import TOKEN, FakeRunner

LIST = "/admin/jobs/runner/"


@pytest.fixture
def fake():
    fake = FakeRunner()
    yield fake
    fake.close()


@pytest.fixture
def runner(db, fake, checkpoint) -> Runner:
    return Runner.objects.create(
        name="gpu-1", url=fake.url, token=TOKEN, slots=4, loaded=[checkpoint.sha256], seen_at=timezone.now()
    )


@pytest.fixture
def press(ops):
    """Presses a button of the runner's page."""
    return lambda runner, what: ops.post(f"{LIST}{runner.pk}/do/{what}/", follow=True)


def test_pages_show_state_load_and_models_of_a_runner(ops, runner, submission):
    Job.objects.filter(pk=admit(submission()).pk).update(state=State.RUNNING, runner=runner)
    for page in (LIST, f"{LIST}live/", f"{LIST}{runner.pk}/change/"):
        text = ops.get(page).content.decode()
        assert not [part for part in ("at-ready", "1/4", "shapes", "s ago") if part not in text]


def test_url_with_a_password_is_refused(ops, runner):
    # It would be sent and logged with every request.
    form = {"name": runner.name, "url": "http://ada:secret@127.0.0.1:9", "backend": runner.backend}
    response = ops.post(f"{LIST}{runner.pk}/change/", form)
    assert "must not contain a user name or a password" in response.content.decode()
    runner.refresh_from_db()
    assert "secret" not in runner.url


@pytest.mark.parametrize(
    ("what", "flags"), [("drain", (True, True)), ("pause", (False, False)), ("resume", (True, False))]
)
def test_buttons_change_whether_a_runner_accepts_jobs(press, runner, what, flags):
    press(runner, what)
    runner.refresh_from_db()
    assert (runner.enabled, runner.draining) == flags


def test_several_runners_are_drained_from_the_list(act, runner):
    other = Runner.objects.create(name="gpu-2", url="http://127.0.0.1:9")
    act("jobs/runner", "drain", runner, other)
    assert Runner.objects.filter(draining=True).count() == 2


def test_unload_sends_the_request_to_the_runner(press, runner, fake):
    fake.status = fake.status.model_copy(
        update={"loaded": (LoadedModel(path="a", sha256="b", size_bytes=1),)}
    )
    Runner.objects.update(loaded=["b"])
    assert "models unloaded" in press(runner, "unload").content.decode()
    assert fake.status.loaded == ()
    runner.refresh_from_db()
    assert runner.loaded == []  # at once, not with the next poll


def test_busy_runner_keeps_its_models(press, runner, fake):
    fake.status = fake.status.model_copy(update={"slots_busy": 1})
    assert "drain the runner first" in press(runner, "unload").content.decode()


def test_unreachable_runner_is_reported(press, runner, fake):
    fake.close()
    assert "not unloaded" in press(runner, "unload").content.decode()


def test_actions_reject_get_requests_and_unknown_names(ops, runner):
    assert ops.get(f"{LIST}{runner.pk}/do/drain/").status_code == 405
    assert ops.post(f"{LIST}{runner.pk}/do/delete/").status_code == 404


def test_viewers_see_runners_but_cannot_operate_them(sign_in, runner):
    client = sign_in("viewer")
    assert client.get(LIST).status_code == 200
    assert client.post(f"{LIST}{runner.pk}/do/drain/").status_code == 403
    assert "do/drain" not in client.get(f"{LIST}{runner.pk}/change/").content.decode()


def test_operators_drain_a_runner_but_cannot_change_its_url_or_token(sign_in, runner):
    client = sign_in("operator")
    form = {"url": "http://elsewhere/", "new_token": "mine", "enabled": "on", "draining": "on"}
    assert client.post(f"{LIST}{runner.pk}/change/", form).status_code == 302
    saved = Runner.objects.get()
    assert (saved.draining, saved.url, saved.token) == (True, runner.url, TOKEN)


def test_tenant_sees_no_runner(sign_in, source, runner):
    client = sign_in("tenant", source)
    for page in ("", "live/", f"{runner.pk}/change/"):
        assert client.get(LIST + page).status_code in {302, 403}


def test_comfyui_credentials_are_kept_and_never_shown(ops, runner):
    page = f"{LIST}{runner.pk}/change/"
    form = {"name": runner.name, "url": runner.url, "backend": "comfyui", "enabled": "on"}
    answer = ops.post(page, form | {"server_scheme": "basic"})
    assert "This authentication needs a secret." in answer.content.decode()
    ops.post(page, form | {"server_scheme": "basic", "new_server_secret": "ops:s3cret"})
    runner.refresh_from_db()
    assert (runner.server_scheme, runner.server_secret) == ("basic", "ops:s3cret")
    assert "s3cret" not in ops.get(page).content.decode()
    answer = ops.post(page, form | {"server_scheme": "basic", "server_ca": "no certificate"})
    assert "Must be certificates in PEM format." in answer.content.decode()
    ops.post(page, form | {"server_scheme": "basic"})
    runner.refresh_from_db()
    assert runner.server_secret == "ops:s3cret", "an empty field changes nothing"


def test_load_of_a_comfyui_server_is_shown(ops, runner):
    load = {"queue": 7, "memory_total": 24 * 2**30, "memory_free": 6 * 2**30}
    Runner.objects.filter(pk=runner.pk).update(memory_bytes=18 * 2**30, figures={"server": load})
    text = ops.get(f"{LIST}live/").content.decode()
    assert "18.0\xa0GB used, 6.0\xa0GB free of 24.0\xa0GB" in text
    assert f'<span id="runner-{runner.pk}-queue">7</span>' in text


def test_page_says_from_which_template_a_runner_backs_off_and_why(ops, runner, workflow_templates):
    Runner.objects.update(backend="comfyui")
    template = WorkflowTemplate.objects.get(name="txt2img")
    until = timezone.now() + timedelta(hours=1)
    TemplateBackOff.objects.create(runner=runner, template=template, until=until, reason="no such node")
    assert "txt2img: no such node" in ops.get(f"{LIST}{runner.pk}/change/").content.decode()


def test_page_has_fields_of_comfyui_servers_for_those_only(ops, sign_in, runner):
    page = f"{LIST}{runner.pk}/change/"
    of_servers = ("Queue of the server", "Own model files", "Backs off from", "read_inventory")
    assert not [part for part in of_servers if part in ops.get(page).content.decode()]
    operator = sign_in("operator")  # sees the address and the backend as text
    assert "ComfyUI authentication" not in operator.get(page).content.decode()
    Runner.objects.update(backend="comfyui")
    assert not [part for part in of_servers if part not in ops.get(page).content.decode()]
    assert "ComfyUI authentication" in operator.get(page).content.decode()
