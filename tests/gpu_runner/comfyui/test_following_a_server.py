"""How the adapter follows a server: gently, through authenticating proxies, and with the routes that it has."""

import threading
import time

import pytest

from gpu_runner.comfyui import client as client_module
from gpu_runner.comfyui import inventory_poller
from gpu_runner.comfyui.backend import ComfyBackend
from gpu_runner.comfyui.client import ComfyClient
from gpu_runner.comfyui.inventory_poller import InventoryPoller
from gpu_runner.protocol import Done, Failed, ServerCredentials
from tests.support.certificates import write_self_signed
from tests.support.comfyui_double import Double
from tests.support.event_listener import Listener

# Inventory -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def poller(double) -> InventoryPoller:
    poller = InventoryPoller(ComfyClient(double.url))
    poller.look()
    return poller


def times_described(double) -> int:
    """How often the nodes were asked for, which costs a large server a minute."""
    return double.requests.count("/object_info")


def test_nodes_are_asked_for_once_while_nothing_changes(poller, double, monkeypatch):
    monkeypatch.setattr(inventory_poller, "LISTING_INTERVAL_S", 0.0)
    for _ in range(5):
        poller.look()
    assert (times_described(double), poller.problem) == (1, "")
    assert poller.load.memory_total - poller.load.memory_free == 2**30


def test_new_file_is_noticed_in_its_folder(poller, double, monkeypatch):
    monkeypatch.setattr(inventory_poller, "LISTING_INTERVAL_S", 0.0)
    before = poller.digest
    double.files["diffusion_models"] = ["flux1-dev.safetensors", "new.safetensors"]
    poller.look()
    assert times_described(double) == 2
    assert "diffusion_models/new.safetensors" in poller.inventory.as_inventory().models
    assert poller.digest != before


def test_nodes_are_asked_for_again_on_request_and_for_another_version(poller, double):
    poller.request()
    poller.look()
    assert times_described(double) == 2
    double.version = "0.33.0"
    poller.look()
    assert (times_described(double), poller.inventory.version) == (3, "0.33.0")


def test_server_that_was_away_describes_its_nodes_again(poller, double):
    def away(path):
        raise RuntimeError

    double.before_response = away
    poller.look()
    assert poller.problem.startswith("ComfyUI does not respond")
    double.before_response = lambda path: None
    poller.look()
    assert (times_described(double), poller.problem) == (2, "")


def test_change_waits_while_prompts_are_queued_but_not_for_ever(poller, double, monkeypatch):
    double.pending_forever = 3
    poller.request()
    poller.look()
    assert (times_described(double), poller.load.queue) == (1, 3)
    monkeypatch.setattr(inventory_poller, "BUSY_DELAY_S", 0.0)
    poller.look()
    assert times_described(double) == 2


def test_server_that_describes_its_nodes_for_longer_than_other_answers_take_works(double, monkeypatch):
    monkeypatch.setattr(client_module, "TIMEOUT_S", 2.0)
    double.before_response = lambda path: time.sleep(2.5) if path == "/object_info" else None
    slow = InventoryPoller(ComfyClient(double.url))
    slow.look()
    assert (slow.problem, times_described(double)) == ("", 1)
    assert "KSampler" in slow.inventory.nodes


def test_job_that_does_not_fit_has_the_inventory_read_again(generate, make_request, double, backend):
    before = times_described(double)
    double.files["checkpoints"] = []
    assert isinstance(generate(make_request()).events[-1], Failed)
    backend.poller.look()
    assert times_described(double) > before
    assert backend.poller.inventory.models["checkpoints"] == ()


# Credentials ---------------------------------------------------------------------------------------------------------

SCHEMES = [
    ("bearer", "s3cret", {"authorization": "Bearer s3cret"}),
    ("api_key", "s3cret", {"x-api-key": "s3cret"}),
    ("basic", "ops:s3cret", {"authorization": "Basic b3BzOnMzY3JldA=="}),
]


@pytest.mark.parametrize(("scheme", "secret", "headers"), SCHEMES, ids=[scheme for scheme, *_ in SCHEMES])
def test_requests_and_progress_pass_an_authenticating_proxy(
    scheme, secret, headers, double, backend, generate, make_request
):
    double.required_headers = headers
    backend.poller.refresh()
    assert backend.poller.problem == "ComfyUI refused the credentials of this server: status 401"
    known = ServerCredentials(scheme=scheme, secret=secret)
    backend.use(known)
    backend.poller.refresh()
    assert backend.poller.problem == ""
    listener = generate(make_request(num_inference_steps=4))
    assert isinstance(listener.events[-1], Done), listener.events[-1]
    assert listener.progress, "the websocket has the headers, too"
    report = backend.report()
    assert report.credentials == known.digest("a token")
    assert secret not in repr(known) + report.credentials


@pytest.mark.parametrize("secret", ["two\nlines", "schlüssel"], ids=["two lines", "not ascii"])
def test_secret_that_no_header_can_have_is_refused(secret):
    with pytest.raises(ValueError, match="one line of ASCII"):
        ServerCredentials(scheme="bearer", secret=secret)


def test_certificate_of_an_own_authority_is_trusted_for_its_server_only(tmp_path, make_request):
    pem = write_self_signed(tmp_path / "server.pem", "localhost")
    double = Double(certificate={"ssl_certfile": str(pem)})
    backend = ComfyBackend(double.url.replace("127.0.0.1", "localhost"), "a token", timeout_s=4)
    try:
        backend.poller.refresh()
        assert backend.poller.problem.startswith("ComfyUI does not respond")
        certificate = pem.read_text().partition("-----BEGIN CERTIFICATE")
        backend.use(ServerCredentials(ca=certificate[1] + certificate[2]))
        backend.poller.refresh()
        listener = Listener()
        backend.submit(make_request(num_inference_steps=3), listener)
        assert isinstance(listener.end(), Done)
        assert listener.progress
    finally:
        backend.stop()
        double.close()


# Cancelling ----------------------------------------------------------------------------------------------------------


def test_newer_server_cancels_a_job_in_one_step(make_request):
    double = Double(newer=True)
    backend = ComfyBackend(double.url, "a token", timeout_s=4)
    try:
        backend.poller.refresh()
        started, goes_on = threading.Event(), threading.Event()

        def at_step(prompt, step):
            started.set()
            goes_on.wait(60)

        double.at_step = at_step
        listener = Listener()
        backend.submit(make_request("cancelled"), listener)
        started.wait(60)
        backend.cancel("cancelled", "discard")
        while not double.cancels:
            time.sleep(0.01)
        goes_on.set()
        failed = listener.end()
        assert isinstance(failed, Failed)
        assert failed.code == "cancelled"
        assert double.cancels[0] == double.posted[0]["prompt_id"]
        assert double.interrupts == []
    finally:
        backend.stop()
        double.close()
