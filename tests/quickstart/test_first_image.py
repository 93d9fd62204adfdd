"""The first image of `make run`: waits while it progresses, and its absence never ends the platform."""

import httpx
import pytest

from config.management.commands.up import Command
from quickstart import first_image

JOB = {"id": "7", "state": "queued", "progress": 0, "queue": {"reason": "next", "ahead": 0}, "error": None}
DONE = JOB | {"state": "succeeded", "progress": 1, "queue": None, "outputs": [{"url": "/outputs/0"}]}


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(first_image, "POLL_S", 0.02)


def server(*polled: dict | int) -> httpx.Client:
    """A platform whose job is in these states one after another; a number is an error status."""
    remaining = list(polled)

    def respond(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(201, json=JOB)
        if request.url.path.startswith("/outputs"):
            return httpx.Response(200, content=b"PNG")
        state = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        return httpx.Response(state) if isinstance(state, int) else httpx.Response(200, json=state)

    return httpx.Client(base_url="http://platform", transport=httpx.MockTransport(respond))


def generate(client, path, stalled_s=5.0, still_running=lambda: True):
    return first_image.generate(client, path, still_running, stalled_s)


def running(progress: float) -> dict:
    return JOB | {"state": "running", "progress": progress, "queue": None}


def test_image_that_takes_longer_than_the_limit_is_waited_for_while_it_progresses(tmp_path):
    steps = [running(step / 30) for step in range(30)]
    path = generate(server(*steps, DONE), tmp_path / "first.png", stalled_s=0.2)
    assert path.read_bytes() == b"PNG"


def test_output_that_is_no_terminal_gets_a_line_for_each_quarter(tmp_path, capsys):
    generate(server(*(running(step / 200) for step in range(200)), DONE), tmp_path / "first.png")
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["first image 25%", "first image 50%", "first image 75%", "first image 100%"]


def test_web_server_that_does_not_answer_for_a_moment_is_asked_again(tmp_path):
    assert generate(server(502, 503, 429, DONE), tmp_path / "first.png").exists()


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        ([running(0.5)], "is running and makes no progress"),
        ([JOB | {"state": "failed", "error": {"message": "out of memory"}}], "is failed: out of memory"),
        ([JOB | {"state": "cancelled"}], "is cancelled"),
    ],
)
def test_missing_image_has_its_reason(tmp_path, states, reason):
    with pytest.raises(first_image.NoFirstImage, match=reason):
        generate(server(*states), tmp_path / "first.png", stalled_s=0.1)


def test_revoked_key_of_the_demo_is_no_reason_to_stop(tmp_path):
    transport = httpx.MockTransport(lambda _request: httpx.Response(401, text="Unknown key"))
    with pytest.raises(first_image.NoFirstImage, match="HTTP 401"):
        generate(httpx.Client(base_url="http://platform", transport=transport), tmp_path / "first.png")


def test_waiting_ends_with_the_processes(tmp_path):
    with pytest.raises(first_image.NotStarted):
        generate(server(running(0.5)), tmp_path / "first.png", still_running=lambda: False)


@pytest.mark.parametrize("error", [first_image.NoFirstImage("refused"), httpx.ReadTimeout("timed out")])
def test_platform_is_ready_without_a_first_image(monkeypatch, capsys, error):
    def fail(*_arguments):
        raise error

    class Supervisor:
        is_running = True

    monkeypatch.setattr(first_image, "wait_until_healthy", lambda *_arguments: None)
    monkeypatch.setattr(first_image, "generate", fail)
    credentials = {"base_url": "http://here", "key_id": "a", "secret": "b", "admin_user": "c"}
    command = Command()
    command.show_first_image(credentials | {"admin_password": "d"}, Supervisor(), _Never())
    printed = capsys.readouterr().out
    assert f"image    none: {error}" in printed
    assert printed.endswith("READY http://here\n")


class _Never:
    def is_set(self) -> bool:
        return False
