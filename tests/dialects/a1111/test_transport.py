import pytest
from django.test import Client

TXT2IMG = "/sdapi/v1/txt2img"


def test_a_stranger_is_not_authenticated(db) -> None:
    response = Client().get("/sdapi/v1/options")
    assert response.status_code == 401
    assert response.json() == {
        "error": "HTTPException",
        "detail": "Not authenticated",
        "body": "",
        "errors": "",
    }


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Basic /w==", "Bearer abc", "Basic YWxpY2U="])
def test_a_broken_authorization_is_401(db, header) -> None:
    assert Client(headers={"Authorization": header}).get("/sdapi/v1/options").status_code == 401


def test_the_key_is_asked_for_before_the_body_is_read(db) -> None:
    assert Client().post(TXT2IMG, "{", content_type="application/json").status_code == 401


@pytest.mark.parametrize("path", ["/sdapi/v1/artists", "/sdapi/v1/nothing/", "/sdapi", "/internal/nothing"])
def test_an_unknown_path_is_404_even_for_strangers(db, path) -> None:
    response = Client().get(path)
    assert (response.status_code, response.json()) == (404, {"detail": "Not Found"})


@pytest.mark.parametrize("method", ["get", "head", "options", "put", "delete", "patch"])
def test_a_wrong_method_is_405_even_for_strangers(db, method) -> None:
    response = getattr(Client(), method)(TXT2IMG)
    assert response.status_code == 405
    assert method == "head" or response.json() == {"detail": "Method Not Allowed"}


def test_head_of_a_readable_path_is_405(alice) -> None:
    assert alice.client.head("/sdapi/v1/options").status_code == 405


def test_a_trailing_slash_redirects_with_method_and_body(db) -> None:
    response = Client().post(TXT2IMG + "/?a=1", {}, content_type="application/json")
    assert (response.status_code, response["Location"]) == (307, TXT2IMG + "?a=1")


def test_a_line_break_in_the_path_does_no_harm(db) -> None:
    response = Client().get("/sdapi/v1/jobs/a%0d%0aX: y/")
    assert (response.status_code, response["Location"]) == (307, "/sdapi/v1/jobs/a%0D%0AX%3A%20y")


def test_any_accept_header_gets_json(alice) -> None:
    response = alice.client.get("/sdapi/v1/samplers", headers={"Accept": "image/png"})
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    assert float(response["X-Process-Time"]) >= 0


def test_a_body_without_content_type_is_json(alice) -> None:
    response = alice.client.generic("POST", TXT2IMG, b'{"steps": "x"}', content_type="")
    assert response.json()["detail"][0]["loc"] == ["body", "steps"]


def test_text_is_not_a_dict(alice) -> None:
    response = alice.client.post(TXT2IMG, "{}", content_type="text/plain")
    assert response.status_code == 422
    assert response.json()["detail"] == [
        {"loc": ["body"], "msg": "value is not a valid dict", "type": "type_error.dict"}
    ]


@pytest.mark.parametrize("body", ["", "null"])
def test_an_empty_body_is_a_missing_field(alice, body) -> None:
    response = alice.client.post(TXT2IMG, body, content_type="application/json")
    assert response.status_code == 422
    assert response.json()["detail"] == [
        {"loc": ["body"], "msg": "field required", "type": "value_error.missing"}
    ]


def test_broken_json_is_told_where(alice) -> None:
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
def test_text_that_no_database_holds_is_refused_by_place(alice, text) -> None:
    response = alice.post("txt2img", {"comments": {"list": [text]}})
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", "comments", "list", 0]


def test_every_bad_field_is_named(alice) -> None:
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
