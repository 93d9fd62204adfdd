"""OpenAPI document: valid, complete, and in agreement with the responses."""

import json
from io import StringIO

import pytest
import schemathesis
from django.core.management import call_command
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi import checks as response_checks

from access.models import AccessKey

pytestmark = [pytest.mark.slow, pytest.mark.postgres]


@pytest.fixture(scope="module")
def openapi() -> dict:
    out = StringIO()
    call_command("spectacular", validate=True, fail_on_warn=True, format="openapi-json", stdout=out)
    return json.loads(out.getvalue())


def test_document_is_valid_and_without_warnings(openapi):
    assert openapi["openapi"] == "3.1.0"
    assert all(path.startswith("/api/v1/") for path in openapi["paths"])


def test_every_operation_documents_its_problems(openapi):
    for path in openapi["paths"].values():
        for operation in path.values():
            assert {"401", "403", "500"} <= operation["responses"].keys()
            assert operation["security"] == [{"bearer": []}, {"basic": []}]


def test_request_schema_is_complete(openapi):
    schemas = openapi["components"]["schemas"]
    request = schemas["JobRequest"]["properties"]
    assert request["width"]["multipleOf"] == 8
    assert "lane" in request
    assert {"Inpaint", "Hires", "ControlUnit", "LoraUse"} <= schemas.keys()


def test_documentation_page_loads_nothing_from_other_hosts(client):
    page = client.get("/api/v1/docs").content.decode()
    assert "swagger-ui" in page
    assert "://" not in page.replace("http://www.w3.org", "")


def test_document_is_served(client):
    assert client.get("/api/v1/openapi.json").json()["info"]["title"] == "Atelier API"


SLOW = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]
FEW = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=SLOW,
)
CHECKS = [
    schemathesis.checks.not_a_server_error,
    response_checks.status_code_conformance,
    response_checks.content_type_conformance,
    response_checks.response_schema_conformance,
]


def test_operations_conform_to_the_document(alice, live_server):
    """Any request that the document allows gets a response that it documents, and no server error."""
    AccessKey.objects.filter(pk=alice.key.pk).update(manages_models=True)
    published = schemathesis.openapi.from_url(f"{live_server.url}/api/v1/openapi.json")
    for operation in published.get_all_operations():

        @FEW
        @given(case=operation.ok().as_strategy())
        def validate(case):
            case.call_and_validate(headers=alice.headers, checks=CHECKS)

        validate()


@pytest.mark.parametrize("path", ["/api/v1/openapi.json", "/api/v1/docs", "/openapi.json", "/docs"])
@pytest.mark.parametrize(("accept", "query"), [("image/png", ""), ("", ""), ("*/*", "?format=xml")])
def test_pages_are_served_whatever_the_accept_header(db, client, path, accept, query):
    assert client.get(path + query, headers={"Accept": accept}).status_code == 200
