"""The playground's page, and the native API with the console's session instead of a key."""

import pytest
from django.test import Client

from access.models import AccessKey
from jobs.models import Job

JOBS = "/api/v1/jobs"
BODY = {"prompt": "a red circle", "width": 64, "height": 64}


def send(client, source="shop", **headers):
    return client.post(
        JOBS, BODY, content_type="application/json", headers={"X-Atelier-Source": source} | headers
    )


def test_playground_lists_the_sources_of_the_user(sign_in, source, other_source):
    page = sign_in("tenant", source).get("/admin/playground/").content.decode()
    assert "shop" in page
    assert "blog" not in page


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


def test_disabled_console_key_is_denied(ops, source, checkpoint):
    send(ops)
    AccessKey.objects.update(enabled=False)
    assert send(ops).status_code == 403


def test_user_who_is_no_longer_staff_is_denied(client, django_user_model, source):
    client.force_login(django_user_model.objects.create_user("former", is_superuser=True))
    assert send(client).status_code == 401
