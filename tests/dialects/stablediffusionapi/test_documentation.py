"""The examples of docs/dialects/stablediffusionapi.md run unchanged."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from jobs.models import Job

pytestmark = pytest.mark.slow

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "dialects" / "stablediffusionapi.md"
EXAMPLES = re.findall(r"^```sh\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(not shutil.which("curl"), reason="the examples are written for curl")
def test_examples_run_unchanged(live_server, alice, worker, tmp_path):
    known = {"ATELIER": live_server.url, "KEY": alice.key}
    script = "\n".join(["set -eu", *EXAMPLES])
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=os.environ | known, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert Image.open(tmp_path / "circle.png").size == (64, 64)
    generated, fetched, models = json_values(done.stdout)
    assert (generated["status"], fetched["status"]) == ("success", "success")
    assert fetched["output"] == json.loads((tmp_path / "response.json").read_text())["output"]
    assert [row["model_id"] for row in models] == ["shapes"]
    assert sorted(Job.objects.values_list("operation", flat=True)) == [
        "v3/img2img",
        "v3/text2img",
        "v6/image_editing/outpaint",
    ]


def json_values(text):
    """The JSON values of a text, one after another."""
    decoder, position = json.JSONDecoder(), 0
    while position < len(text):
        value, position = decoder.raw_decode(text, position)
        yield value
