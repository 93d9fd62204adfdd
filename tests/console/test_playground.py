"""The playground's page, and the session that its script shows to our own API instead of a key."""

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


def test_whoever_may_draw_sees_the_page_with_the_sources_it_may_draw_for(sign_in, source, other_source):
    page = sign_in("tenant", source).get("/admin/playground/").content.decode()
    assert "shop" in page
    assert "blog" not in page


@pytest.mark.parametrize("role", ["viewer", "finance"])
def test_the_page_is_not_for_those_who_only_look(sign_in, role, source):
    client = sign_in(role)
    assert client.get("/admin/playground/").status_code == 403
    assert send(client).status_code == 403


def test_the_session_draws_for_the_source_that_it_names(ops, source, checkpoint):
    answer = send(ops)
    assert answer.status_code == 201
    job = Job.objects.get()
    assert (job.source, job.dialect, job.key.note) == (source, "native", "console: admin")
    assert ops.get(answer.json()["url"], headers={"X-Atelier-Source": "shop"}).status_code == 200


def test_a_user_has_one_key_for_each_source(ops, source, other_source, checkpoint):
    for name in ("shop", "shop", "blog"):
        send(ops, name)
    assert AccessKey.objects.count() == 2


def test_a_tenant_cannot_draw_for_another(sign_in, source, other_source, checkpoint):
    assert send(sign_in("tenant", source), "blog").status_code == 403
    assert not Job.objects.exists()


@pytest.mark.parametrize("name", ["", "nobody", "sh\0op"])
def test_a_source_that_is_none_is_refused(ops, source, name):
    assert send(ops, name).status_code == 403


def test_without_a_session_the_header_is_worth_nothing(client, source):
    assert send(client).status_code == 401


def test_without_the_header_the_session_is_worth_nothing(ops, source):
    assert ops.post(JOBS, BODY, content_type="application/json").status_code == 401


def test_a_page_of_another_site_cannot_spend_the_session(ops, source, admin_user):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(admin_user)
    assert send(strict).status_code == 403
    token = strict.get("/admin/playground/").cookies["csrftoken"].value
    assert send(strict, **{"X-CSRFToken": token}).status_code != 403


def test_a_disabled_key_of_the_console_draws_no_more(ops, source, checkpoint):
    send(ops)
    AccessKey.objects.update(enabled=False)
    assert send(ops).status_code == 403


def test_who_is_no_member_of_staff_any_more_draws_no_more(client, django_user_model, source):
    client.force_login(django_user_model.objects.create_user("former", is_superuser=True))
    assert send(client).status_code == 401
