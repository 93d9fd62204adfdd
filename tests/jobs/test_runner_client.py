import multiprocessing

import pytest

from gpu_runner.protocol import Failed, GenerationRequest, ModelFile, RunRequest
from jobs.execution.runner_client import RunnerClient, RunnerUnreachable
from tests.support.fake_runner import TOKEN, FakeRunner, JobStream

pytestmark = pytest.mark.slow

LINE_SEPARATORS = "before\u2028between\u0085after"


def fails_with_line_separators(stream: JobStream) -> None:
    stream.accept()
    stream.send(Failed(code="bad_request", message=LINE_SEPARATORS))


def test_forked_process_opens_its_own_connections(fake_runner: FakeRunner):
    client = RunnerClient(fake_runner.url, TOKEN)
    client.status()
    child = multiprocessing.get_context("fork").Process(target=client.status)
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert len(fake_runner.connections) == 2
    assert client.status() == fake_runner.status


def test_message_may_contain_unicode_line_separators(fake_runner: FakeRunner):
    fake_runner.behavior = fails_with_line_separators
    checkpoint = ModelFile(path="a.safetensors", sha256="0" * 64)
    run_request = RunRequest(
        job_id="1", request=GenerationRequest(prompt="a red circle"), checkpoint=checkpoint
    )
    *_, last = RunnerClient(fake_runner.url, TOKEN).generate(run_request)
    assert last.message == LINE_SEPARATORS


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "gopher://127.0.0.1", "http://127.0.0.1:port"])
def test_runner_at_an_unusable_address_is_unreachable(url: str):
    with pytest.raises(RunnerUnreachable):
        RunnerClient(url, TOKEN).status()
