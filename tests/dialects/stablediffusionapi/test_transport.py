"""Transport of the key and the parameters: JSON, forms, query, headers."""

import json
from urllib.parse import urlencode

import pytest

from jobs.models import Job

pytestmark = pytest.mark.django_db

URL = "/api/v3/text2img"


def is_accepted(response) -> bool:
    return response.json()["status"] == "processing"


@pytest.mark.field("stablediffusionapi_img2img", "key")
def test_key_may_be_in_the_body(alice, client):
    body = {"key": alice.key, "prompt": "x"}
    assert is_accepted(client.post(URL, body, content_type="application/json"))
    assert alice.key not in json.dumps(Job.objects.get().received)


@pytest.mark.parametrize(
    "headers",
    [
        lambda key: {"key": key},
        lambda key: {"Authorization": key},
        lambda key: {"Authorization": f"Bearer {key}"},
    ],
)
def test_key_may_be_in_a_header(alice, client, headers):
    assert is_accepted(
        client.post(URL, {"prompt": "x"}, content_type="application/json", headers=headers(alice.key))
    )


def test_key_of_the_body_takes_precedence(alice, client):
    body = {"key": alice.key, "prompt": "x"}
    assert is_accepted(client.post(URL, body, content_type="application/json", headers={"key": "wrong"}))


def test_all_parameters_may_be_in_the_query(alice, client):
    query = urlencode({"prompt": "a cat", "width": "512", "height": "512", "samples": "1"})
    assert is_accepted(
        client.generic("POST", f"{URL}?{query}", b"", content_type="", headers={"key": alice.key})
    )
    query = urlencode({"prompt": "a cat", "key": alice.key})
    assert is_accepted(client.generic("POST", f"{URL}?{query}", b"", content_type="application/json"))


@pytest.mark.field("stablediffusionapi_img2img", "Content-Type")
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data"])
def test_parameters_may_be_a_form(alice, client, kind):
    fields = {"key": alice.key, "prompt": "a cat", "samples": "2"}
    if kind.startswith("multipart"):
        response = client.post(URL, fields)
    else:
        response = client.post(URL, urlencode(fields), content_type=kind)
    assert is_accepted(response)
    assert Job.objects.get().generation_request.num_images == 2


@pytest.mark.field("stablediffusionapi_img2img", "Content-Type")
def test_json_with_the_content_type_of_a_form_is_parsed(alice, client):
    body = json.dumps({"key": alice.key, "prompt": "x"})
    assert is_accepted(client.post(URL, body, content_type="application/x-www-form-urlencoded"))


def test_trailing_slash_is_accepted(alice):
    assert alice.call("v3/text2img/", prompt="x")["status"] == "processing"


@pytest.mark.parametrize("body", ["{", "[1]", '"x"', "null", '{"a": ' * 5000, "\xff\xfe"])
def test_malformed_body_gets_an_error_of_this_api(client, body):
    response = client.post(URL, body.encode("latin-1"), content_type="application/json").json()
    assert response["status"] == "error"


def test_body_that_is_too_large_gets_an_error_of_this_api(client, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    response = client.post(URL, '{"prompt": "a cat"}', content_type="application/json").json()
    assert (response["status"], response["message"]) == ("error", "The request body is too large.")


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary="])
def test_form_without_a_boundary_is_a_client_error(alice, client, kind):
    response = client.generic("POST", f"{URL}?key={alice.key}", b"--x", content_type=kind)
    assert (response.status_code, response.json()["message"]) == (200, "The request body cannot be read.")
