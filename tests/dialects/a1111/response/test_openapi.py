"""The document is what the routes do: every path of it is there, and nothing answers with a status that it has not."""

import pytest
import schemathesis
from django.urls import Resolver404, resolve
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi import checks as response_checks

from dialects.a1111.response.openapi import document
from dialects.a1111.schema.fields import IMG2IMG, TXT2IMG
from dialects.a1111.urls import urlpatterns

pytestmark = pytest.mark.slow

UNDOCUMENTED = {"docs", "openapi.json", "^(?:sdapi|controlnet|internal)(?:/(?s:.*))?$"}
NOT_DONE = {
    f"sdapi/v1/{deed}/{kind}" for deed in ("create", "train") for kind in ("embedding", "hypernetwork")
}


def test_every_route_is_in_it() -> None:
    routes = {str(pattern.pattern).replace("<str:job_id>", "{job_id}") for pattern in urlpatterns}
    assert {path.lstrip("/") for path in document()["paths"]} == routes - UNDOCUMENTED - NOT_DONE


def test_every_field_of_a_request_is_in_it() -> None:
    for name, fields in (("txt2img", TXT2IMG), ("img2img", IMG2IMG)):
        body = document()["paths"][f"/sdapi/v1/{name}"]["post"]["requestBody"]
        assert body["content"]["application/json"]["schema"]["properties"].keys() == fields.keys()


def test_it_is_read_without_a_key_and_is_valid(client) -> None:
    response = client.get("/openapi.json")
    assert response.status_code == 200
    assert len(list(schemathesis.openapi.from_dict(response.json()).get_all_operations())) > 40


def test_the_page_needs_nothing_from_the_internet(client) -> None:
    page = client.get("/docs").content.decode()
    assert "/openapi.json" in page
    assert "://" not in page.replace("http://www.w3.org", "")


def test_our_own_document_is_another(client) -> None:
    assert all(path.startswith("/api/v1/") for path in client.get("/api/v1/openapi.json").json()["paths"])


@pytest.mark.parametrize("path", ["/docs/", "/openapi.json/"])
def test_a_slash_too_many_is_not_a_route(path) -> None:
    with pytest.raises(Resolver404):
        resolve(path)


SLOW = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]
FEW = settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=SLOW,
)
CHECKS = [
    response_checks.status_code_conformance,
    response_checks.content_type_conformance,
    response_checks.response_schema_conformance,
]
# What the contract itself answers with 500: every other is an error of ours.
OF_THE_CONTRACT = {"HTTPException", "RuntimeError", "KeyError", "IndexError", "Exception", "AssertionError"}
OF_THE_CONTRACT |= {"ValidationError", "TypeError"}


def test_no_operation_answers_with_an_error_of_ours(alice, live_server) -> None:
    """Whatever the document allows; and each answer is one that the document has."""
    published = schemathesis.openapi.from_url(f"{live_server.url}/openapi.json")
    headers = {"Authorization": alice.client.defaults["HTTP_AUTHORIZATION"]}
    for found in published.get_all_operations():

        @FEW
        @given(case=found.ok().as_strategy())
        def answers(case):
            response = case.call_and_validate(headers=headers, checks=CHECKS)
            assert response.status_code != 401
            if response.status_code == 500:
                assert response.json()["error"] in OF_THE_CONTRACT

        answers()
