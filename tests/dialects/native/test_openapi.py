import json
from io import StringIO

import pytest
import schemathesis
from django.core.management import call_command
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi import checks as response_checks


@pytest.fixture(scope="module")
def openapi() -> dict:
    out = StringIO()
    call_command("spectacular", validate=True, fail_on_warn=True, format="openapi-json", stdout=out)
    return json.loads(out.getvalue())


def test_the_document_is_valid_and_without_a_warning(openapi):
    assert openapi["openapi"] == "3.1.0"
    assert all(path.startswith("/api/v1/") for path in openapi["paths"])


def test_every_operation_documents_its_problems(openapi):
    for path in openapi["paths"].values():
        for operation in path.values():
            assert {"401", "403", "500"} <= operation["responses"].keys()
            assert operation["security"] == [{"bearer": []}, {"basic": []}]


def test_a_request_is_described_to_its_last_field(openapi):
    schemas = openapi["components"]["schemas"]
    request = schemas["JobRequest"]["properties"]
    assert request["width"]["multipleOf"] == 8
    assert "lane" in request
    assert {"Inpaint", "Hires", "ControlUnit", "LoraUse"} <= schemas.keys()


def test_the_page_needs_nothing_from_the_internet(client):
    page = client.get("/api/v1/docs").content.decode()
    assert "swagger-ui" in page
    assert "://" not in page.replace("http://www.w3.org", "")


def test_the_page_reads_the_document(client):
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


def test_no_operation_answers_with_an_error_of_ours(alice, live_server):
    """Whatever the document allows; and each answer is one that the document has."""
    published = schemathesis.openapi.from_url(f"{live_server.url}/api/v1/openapi.json")
    for found in published.get_all_operations():

        @FEW
        @given(case=found.ok().as_strategy())
        def answers(case):
            case.call_and_validate(headers=alice.headers, checks=CHECKS)

        answers()


@pytest.mark.parametrize("path", ["/api/v1/openapi.json", "/api/v1/docs", "/openapi.json", "/docs"])
@pytest.mark.parametrize(("accept", "query"), [("image/png", ""), ("", ""), ("*/*", "?format=xml")])
def test_the_pages_come_whatever_the_client_says_it_accepts(db, client, path, accept, query):
    assert client.get(path + query, headers={"Accept": accept}).status_code == 200
