import pytest
from django.test import Client

TXT2IMG = "/sdapi/v1/txt2img"


def test_request_without_a_key_is_401(db) -> None:
    response = Client().get("/sdapi/v1/options")
    assert response.status_code == 401
    assert response.json() == {
        "error": "HTTPException",
        "detail": "Not authenticated",
        "body": "",
        "errors": "",
    }


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Basic /w==", "Bearer abc", "Basic YWxpY2U="])
def test_invalid_authorization_header_is_401(db, header) -> None:
    assert Client(headers={"Authorization": header}).get("/sdapi/v1/options").status_code == 401


def test_key_is_checked_before_the_body(db) -> None:
    assert Client().post(TXT2IMG, "{", content_type="application/json").status_code == 401


@pytest.mark.parametrize("path", ["/sdapi/v1/artists", "/sdapi/v1/nothing/", "/sdapi", "/internal/nothing"])
def test_unknown_path_is_404_without_a_key(db, path) -> None:
    response = Client().get(path)
    assert (response.status_code, response.json()) == (404, {"detail": "Not Found"})


@pytest.mark.parametrize("method", ["get", "head", "options", "put", "delete", "patch"])
def test_wrong_method_is_405_without_a_key(db, method) -> None:
    response = getattr(Client(), method)(TXT2IMG)
    assert response.status_code == 405
    assert method == "head" or response.json() == {"detail": "Method Not Allowed"}


def test_head_is_405(alice) -> None:
    assert alice.client.head("/sdapi/v1/options").status_code == 405


def test_trailing_slash_redirects_with_307(db) -> None:
    response = Client().post(TXT2IMG + "/?a=1", {}, content_type="application/json")
    assert (response.status_code, response["Location"]) == (307, TXT2IMG + "?a=1")


def test_redirect_is_below_the_path_of_the_public_url(db, settings) -> None:
    settings.PUBLIC_URL = "https://a.example/atelier"
    assert Client().post(TXT2IMG + "/", {})["Location"] == "/atelier" + TXT2IMG
    assert Client().get("/")["Location"] == Client().get("/admin")["Location"] == "/atelier/admin/"


def test_line_break_in_the_path_is_quoted_in_the_redirect(db) -> None:
    response = Client().get("/sdapi/v1/jobs/a%0d%0aX: y/")
    assert (response.status_code, response["Location"]) == (307, "/sdapi/v1/jobs/a%0D%0AX%3A%20y")


def test_accept_header_is_ignored(alice) -> None:
    response = alice.client.get("/sdapi/v1/samplers", headers={"Accept": "image/png"})
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    assert float(response["X-Process-Time"]) >= 0


def test_body_without_content_type_is_json(alice) -> None:
    response = alice.client.generic("POST", TXT2IMG, b'{"steps": "x"}', content_type="")
    assert response.json()["detail"][0]["loc"] == ["body", "steps"]


def test_plain_text_body_is_rejected(alice) -> None:
    response = alice.client.post(TXT2IMG, "{}", content_type="text/plain")
    assert response.status_code == 422
    assert response.json()["detail"] == [
        {"loc": ["body"], "msg": "value is not a valid dict", "type": "type_error.dict"}
    ]


@pytest.mark.parametrize("body", ["", "null"])
def test_empty_body_is_a_missing_field(alice, body) -> None:
    response = alice.client.post(TXT2IMG, body, content_type="application/json")
    assert response.status_code == 422
    assert response.json()["detail"] == [
        {"loc": ["body"], "msg": "field required", "type": "value_error.missing"}
    ]


def test_invalid_json_is_reported_with_its_position(alice) -> None:
    response = alice.client.post(TXT2IMG, "{x", content_type="application/json")
    assert response.status_code == 422
    msg = "Expecting property name enclosed in double quotes"
    assert response.json()["detail"] == [
        {
            "loc": ["body", 1],
            "msg": f"{msg}: line 1 column 2 (char 1)",
            "type": "value_error.jsondecode",
            "ctx": {"msg": msg, "doc": "{x", "pos": 1, "lineno": 1, "colno": 2},
        }
    ]


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_unstorable_text_is_rejected_at_its_location(alice, text) -> None:
    response = alice.post("txt2img", {"comments": {"list": [text]}})
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", "comments", "list", 0]


def test_all_invalid_fields_are_reported(alice) -> None:
    body = {
        "steps": "20.5",
        "cfg_scale": [],
        "prompt": [],
        "tiling": 2,
        "styles": [[]],
        "sampler_index": None,
    }
    detail = alice.post("txt2img", body).json()["detail"]
    assert {tuple(entry["loc"][1:]): entry["type"] for entry in detail} == {
        ("steps",): "type_error.integer",
        ("cfg_scale",): "type_error.float",
        ("prompt",): "type_error.str",
        ("tiling",): "type_error.bool",
        ("styles", 0): "type_error.str",
        ("sampler_index",): "type_error.none.not_allowed",
    }
