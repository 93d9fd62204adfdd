"""Request log."""

import logging
import re

import pytest

from jobs.admission.admit import admit
from telemetry import counters
from telemetry.request_log import HEADER

pytestmark = pytest.mark.django_db


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.DEBUG, "telemetry.request_log")
    return lambda: [record for record in caplog.records if record.name == "telemetry.request_log"]


def test_response_has_the_request_id(client, lines):
    response = client.get("/healthz")
    assert re.fullmatch("[0-9a-f]{32}", response[HEADER])
    assert client.get("/healthz", headers={HEADER: "from-the-proxy-1"})[HEADER] == "from-the-proxy-1"
    assert client.get("/healthz", headers={HEADER: "no good\t id"})[HEADER] != "no good\t id"


def test_line_has_the_route_but_neither_path_nor_query(client, lines):
    client.get("/admin/login/?key=hunter2abc")
    (line,) = lines()
    assert (line.method, line.route, line.status) == ("GET", "admin/login/", 200)
    assert "hunter2abc" not in line.getMessage()


def test_signature_of_an_image_url_is_not_logged(client, lines):
    client.get("/outputs/0b2ab0c0-3f3a-4a2e-9d55-1d1b6f3a7d01/hunter2abc/0.png")
    (line,) = lines()
    assert "hunter2abc" not in line.getMessage() + line.route


def test_probes_are_logged_at_debug_level_and_not_counted(client, lines):
    client.get("/healthz")
    assert [line.levelno for line in lines()] == [logging.DEBUG]
    assert responses("healthz") is None


def test_responses_are_counted_by_route_and_status(client):
    before = responses("admin/login/") or 0
    client.get("/admin/login/?next=/admin/")
    assert responses("admin/login/") == before + 1


def responses(route: str, status: str = "200") -> float | None:
    return counters.registry.get_sample_value(
        "atelier_http_responses_total", {"route": route, "status": status}
    )


def test_lines_of_a_request_for_a_job_have_the_job_id(client, lines, submission):
    from gpu_runner import logs

    seen = []

    class JobIdHandler(logging.Handler):
        def emit(self, record):
            seen.append(logs.job.get())

    handler = JobIdHandler()
    logging.getLogger("telemetry.request_log").addHandler(handler)
    job = admit(submission())
    client.get(f"/api/v1/jobs/{job.pk}")
    logging.getLogger("telemetry.request_log").removeHandler(handler)
    assert seen == [str(job.pk)]
