"""Callbacks of finished jobs."""

import json

import pytest

from tests.support.receiving_server import work as call_back
from tests.support.web_server import WebServer, answer

pytestmark = pytest.mark.postgres


@pytest.fixture
def receiver(source):
    server = WebServer()
    server.answers["/done"] = answer(204)
    source.reachable = ["127.0.0.1"]
    source.save()
    yield server
    server.close()


def test_callback_has_the_job_with_absolute_urls(alice, client, work, receiver):
    job = alice.submit(callback_url=receiver.url("/done"))
    work()
    call_back()
    (request,) = receiver.asked
    body, shown = json.loads(request.body), alice.job(job)
    output_url = body["outputs"][0]["url"]
    assert body["url"] == "http://testserver" + shown["url"]
    assert body | {"url": shown["url"], "outputs": shown["outputs"]} == shown
    assert client.get(output_url)["Content-Type"] == "image/png"  # without a key


def test_quote_refuses_a_callback_url_of_a_local_address(alice):
    quoted = alice.post("quote", {"callback_url": "http://127.0.0.1/"}).json()
    assert [refusal["code"] for refusal in quoted["refusals"]] == ["forbidden_address"]
