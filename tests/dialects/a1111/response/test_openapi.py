"""The OpenAPI document describes every route, and every response conforms to it."""

import pytest
import schemathesis
from django.urls import Resolver404, resolve
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi import checks as response_checks

from dialects.a1111.response.openapi import document
from dialects.a1111.schema.fields import IMG2IMG, TXT2IMG
from dialects.a1111.urls import urlpatterns

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

UNDOCUMENTED = {"docs", "openapi.json", "^(?:sdapi|controlnet|internal)(?:/(?s:.*))?$"}
UNAVAILABLE = {
    f"sdapi/v1/{action}/{kind}" for action in ("create", "train") for kind in ("embedding", "hypernetwork")
}


def test_every_route_is_documented() -> None:
    routes = {str(pattern.pattern).replace("<str:job_id>", "{job_id}") for pattern in urlpatterns}
    assert {path.lstrip("/") for path in document()["paths"]} == routes - UNDOCUMENTED - UNAVAILABLE


def test_every_request_field_is_documented() -> None:
    for name, fields in (("txt2img", TXT2IMG), ("img2img", IMG2IMG)):
        body = document()["paths"][f"/sdapi/v1/{name}"]["post"]["requestBody"]
        assert body["content"]["application/json"]["schema"]["properties"].keys() == fields.keys()


def test_document_requires_no_key_and_is_valid(client) -> None:
    response = client.get("/openapi.json")
    assert response.status_code == 200
    assert len(list(schemathesis.openapi.from_dict(response.json()).get_all_operations())) > 40


def test_page_loads_nothing_from_the_internet(client) -> None:
    page = client.get("/docs").content.decode()
    assert "/openapi.json" in page
    assert "://" not in page.replace("http://www.w3.org", "")


def test_native_api_has_a_separate_document(client) -> None:
    assert all(path.startswith("/api/v1/") for path in client.get("/api/v1/openapi.json").json()["paths"])


@pytest.mark.parametrize("path", ["/docs/", "/openapi.json/"])
def test_trailing_slash_is_not_a_route(path) -> None:
    with pytest.raises(Resolver404):
        resolve(path)


SUPPRESSED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]
FEW = settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=SUPPRESSED,
)
CHECKS = [
    response_checks.status_code_conformance,
    response_checks.content_type_conformance,
    response_checks.response_schema_conformance,
]
# Errors that the contract returns with status 500. Any other is a defect.
CONTRACT_ERRORS = {"HTTPException", "RuntimeError", "KeyError", "IndexError", "Exception", "AssertionError"}
CONTRACT_ERRORS |= {"ValidationError", "TypeError"}


def test_responses_conform_to_the_document(alice, live_server) -> None:
    """Requests generated from the document get responses that it describes."""
    published = schemathesis.openapi.from_url(f"{live_server.url}/openapi.json")
    headers = {"Authorization": alice.client.defaults["HTTP_AUTHORIZATION"]}
    for operation in published.get_all_operations():

        @FEW
        @given(case=operation.ok().as_strategy())
        def conforms(case):
            response = case.call_and_validate(headers=headers, checks=CHECKS)
            assert response.status_code != 401
            if response.status_code == 500:
                assert response.json()["error"] in CONTRACT_ERRORS

        conforms()
