"""Error pages for browsers. Other clients and the paths of APIs keep their responses."""

import json

import pytest
from django.db import OperationalError
from django.test import Client

from console import urls
from jobs.models import Job

BROWSER = {"HTTP_ACCEPT": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}
SECRET = "password=hunter2"


@pytest.fixture
def failing(monkeypatch):
    """``failing(error)``: the console's page of labels raises it."""

    def failing(error: Exception) -> None:
        def fail(request):
            raise error

        (pattern,) = (route for route in urls.urlpatterns if route.name == "labels")
        monkeypatch.setattr(pattern, "callback", fail)

    return failing


def is_page(response) -> bool:
    return b"<!DOCTYPE html>" in response.content and "Atelier 画坊" in response.content.decode()


def test_unknown_address_is_a_page_for_browsers_only(client):
    page = client.get("/nowhere", **BROWSER)
    assert (page.status_code, is_page(page)) == (404, True)
    assert "This page does not exist" in page.content.decode()
    assert not is_page(client.get("/nowhere"))


@pytest.mark.parametrize("path", ["/api/v1/nowhere", "/sdapi/v1/nowhere", "/v1/nowhere", "/pictures/nowhere"])
def test_paths_of_dialects_keep_their_error_format(client, path):
    response = client.get(path, **BROWSER)
    assert json.loads(response.content)


def test_page_is_in_the_language_of_the_browser(client):
    assert (
        'lang="zh-hans"' in client.get("/nowhere", HTTP_ACCEPT_LANGUAGE="zh-CN", **BROWSER).content.decode()
    )


def test_missing_permission_is_a_page(client, django_user_model):
    client.force_login(django_user_model.objects.create_user("nobody", is_staff=True))
    page = client.get("/admin/gallery/", **BROWSER)
    assert (page.status_code, is_page(page)) == (403, True)


def test_expired_form_is_a_page_that_says_what_to_do(admin_user):
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    page = client.post("/admin/setup/install/", **BROWSER)
    assert (page.status_code, is_page(page)) == (403, True)
    assert "The form has expired" in page.content.decode()


def test_unknown_host_is_a_page_without_the_host(client, settings):
    settings.ALLOWED_HOSTS = ["images.example"]
    page = client.get("/admin/login/", HTTP_HOST="evil.example", **BROWSER)
    assert (page.status_code, is_page(page)) == (400, True)
    assert "evil" not in page.content.decode()


def test_unexpected_error_is_a_page_without_its_text_and_without_the_database(
    admin_client, failing, django_assert_num_queries
):
    failing(RuntimeError(SECRET))
    admin_client.raise_request_exception = False
    page = admin_client.get("/admin/labels/", **BROWSER)
    text = page.content.decode()
    assert (page.status_code, is_page(page)) == (500, True)
    assert SECRET not in text
    assert "Traceback" not in text
    assert page["X-Request-ID"] in text
    with django_assert_num_queries(0):
        page = Client(raise_request_exception=False).get("/admin/labels/", **BROWSER)
    assert page.status_code == 500


@pytest.mark.parametrize("accept", [BROWSER, {}], ids=["browser", "program"])
def test_lost_database_is_a_503_that_says_when_to_retry(admin_client, failing, accept):
    failing(OperationalError(SECRET))
    response = admin_client.get("/admin/labels/", **accept)
    assert (response.status_code, response["Retry-After"], is_page(response)) == (503, "5", bool(accept))
    assert SECRET not in response.content.decode()


def test_database_lost_before_a_view_is_a_503_too(admin_client, monkeypatch):
    """The audit trail writes after the view."""

    def fail(*arguments, **fields):
        raise OperationalError(SECRET)

    monkeypatch.setattr("console.audit.middleware.AuditEntry.objects.create", fail)
    admin_client.raise_request_exception = False
    page = admin_client.post("/admin/setup/install/", **BROWSER)
    assert (page.status_code, is_page(page)) == (503, True)
    assert not Job.objects.exists()
