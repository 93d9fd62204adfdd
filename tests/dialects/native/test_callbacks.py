import json

import pytest

from tests.support.receiving_server import work as call_back
from tests.support.web_server import WebServer, answer


@pytest.fixture
def receiver(source):
    server = WebServer()
    server.answers["/done"] = answer(204)
    source.reachable = ["127.0.0.1"]
    source.save()
    yield server
    server.close()


def test_the_job_is_told_as_it_would_be_shown(alice, client, work, receiver):
    job = alice.submit(callback_url=receiver.url("/done"))
    work()
    call_back()
    (asked,) = receiver.asked
    told, shown = json.loads(asked.body), alice.job(job)
    picture = told["outputs"][0]["url"]
    assert told["url"] == "http://testserver" + shown["url"]
    assert told | {"url": shown["url"], "outputs": shown["outputs"]} == shown
    assert client.get(picture)["Content-Type"] == "image/png"  # without a key


def test_a_quote_knows_callbacks_that_could_not_be_delivered(alice):
    quoted = alice.post("quote", {"callback_url": "http://127.0.0.1/"}).json()
    assert [refusal["code"] for refusal in quoted["refusals"]] == ["forbidden_address"]
