"""The examples of docs/dialects/smzdm.md run unchanged."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from access.models import AccessKey
from jobs.models import Job
from tests.support.web_server import answer

pytestmark = pytest.mark.slow

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "dialects" / "smzdm.md"
EXAMPLES = re.findall(r"^```sh\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(not shutil.which("curl"), reason="the examples are written for curl")
def test_examples_run_unchanged(live_server, alice, shop, worker, image_host, target):
    key, secret = AccessKey.issue(shop)
    image_host.answers["/done"] = answer(200)
    known = {
        "ATELIER": live_server.url,
        "IMAGES": f"http://127.0.0.1:{image_host.port}",
        "KEY": f"{key.key_id}:{secret}",
    }
    responses = []
    for example in EXAMPLES:
        done = subprocess.run(
            ["bash", "-eu", "-c", example], env=os.environ | known, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        responses.append(json.loads(done.stdout))
    assert [(response["error_code"], len(response["data"])) for response in responses] == [
        (0, 1),
        (0, 0),
        (0, 2),
    ]
    assert all(url.startswith("https://img.example.com/img/") for url in responses[2]["data"])
    assert Job.objects.count() == 3
