import pytest

from jobs.admission.admit import admit
from jobs.models import Job
from jobs.outbound.callbacks import policies
from jobs.outbound.callbacks.outbox import CallbackRequest
from tests.support.receiving_server import POLICY, YES
from tests.support.web_server import WebServer


@pytest.fixture(autouse=True)
def calling_dialect() -> None:
    policies.register("calling", POLICY)


@pytest.fixture
def receiver(source):
    server = WebServer()
    server.answers["/done"] = YES
    source.reachable = ["127.0.0.1"]
    source.save()
    yield server
    server.close()


@pytest.fixture
def calling(submission, receiver):
    """``calling()``: an admitted job with a callback."""

    def admitted(path="/done", **fields) -> Job:
        request = CallbackRequest(receiver.url(path), extra={"task": 7})
        return admit(submission(dialect="calling", callback=request, **fields))

    return admitted
