"""Errors: every one is a problem document, and none repeats values of the request."""

import base64

import pytest

from gpu_runner.protocol import MAX_SEED
from jobs.models import Job


def problem(response, status: int) -> dict:
    assert response["Content-Type"] == "application/problem+json", response.content
    body = response.json()
    assert response.status_code == body["status"] == status
    assert body["type"] == f"urn:atelier:problem:{body['code']}"
    assert body["detail"]
    return body


@pytest.mark.parametrize(
    ("body", "field", "error_type"),
    [
        ({"width": 65}, "width", "multiple_of"),
        ({"seed": MAX_SEED + 1}, "seed", "less_than_equal"),
        ({"prompt": "a\0b"}, "prompt", "nul"),
        ({"prompt": "\ud800"}, "prompt", "nul"),
        ({"wdith": 64}, "wdith", "extra_forbidden"),
        ({"lane": "first"}, "lane", "literal_error"),
        ({"external_id": "x" * 201}, "external_id", "string_too_long"),
        ({"loras": [{"name": "a", "unet": 99}]}, "loras.0.unet", "less_than_equal"),
        ({"task": "img2img", "init_images": ["data:image/png;base64,!!"]}, "init_images.0", "picture"),
        ({"task": "img2img", "init_images": ["http://10.0.0.1/a.png"]}, "init_images.0", "picture"),
    ],
)
def test_invalid_field_is_named(alice, body, field, error_type):
    document = problem(alice.post("jobs", body), 422)
    assert (document["code"], document["field"]) == ("invalid", field)
    assert document["errors"][0]["type"] == error_type


def test_values_of_the_request_are_not_repeated(alice):
    response = alice.post("jobs", {"width": "my password"})
    assert "my password" not in response.content.decode()


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"checkpoint": "nowhere"}, "unknown_model", "checkpoint"),
        ({"num_inference_steps": 151}, "over_limit", "num_inference_steps"),
        ({"sampler": "Nothing"}, "unsupported", "sampler"),
        ({"sampler": ""}, "unsupported", "sampler"),
        ({"scheduler": ""}, "unsupported", "scheduler"),
        ({"callback_url": "http://127.0.0.1/"}, "forbidden_address", "callback_url"),
        ({"callback_url": "ftp://example.com/"}, "bad_url", "callback_url"),
        ({"task": "img2img", "init_images": ["0" * 64]}, "bad_picture", "init_images.0"),
    ],
)
def test_refusal_has_its_code(alice, body, code, field):
    document = problem(alice.post("jobs", body), 422)
    assert (document["code"], document["field"]) == (code, field)
    assert not Job.objects.exists()


def test_another_content_type_is_refused(alice):
    problem(alice.client.post("/api/v1/jobs", b"{}", content_type="text/plain"), 415)


@pytest.mark.parametrize("path", ["", "nothing", "jobs/", "jobs/7", "jobs/a%0Ab"])
def test_unknown_path_is_a_problem_document(client, path):
    assert problem(client.get(f"/api/v1/{path}"), 404)["code"] == "not_found"


def test_wrong_method_is_405(alice):
    assert alice.client.put("/api/v1/jobs").status_code == 405


@pytest.mark.parametrize("cursor", ["x", "é", base64.urlsafe_b64encode(b"2020-01-01 7").decode(), "A" * 99])
@pytest.mark.parametrize("path", ["jobs", "usage"])
def test_invalid_cursor_is_refused(alice, path, cursor):
    assert problem(alice.get(path, {"cursor": cursor}), 422)["field"] == "cursor"


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": "many"},
        {"state": "done"},
        {"since": "2020-01-01"},
        {"page": 2},
        {"external_id": "\0"},
    ],
)
def test_invalid_filter_is_refused(alice, query):
    problem(alice.get("jobs", query), 422)
