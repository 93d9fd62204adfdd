"""The examples of docs/dialects/ark.md run unchanged."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from dialects.ark.request.fields import ImageRequest
from jobs.models import Job

pytestmark = pytest.mark.slow

DOCUMENT = (Path(__file__).resolve().parents[3] / "docs" / "dialects" / "ark.md").read_text()
EXAMPLES = re.findall(r"^```sh\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(not shutil.which("curl"), reason="the examples are written for curl")
def test_examples_run_unchanged(live_server, alice, worker, tmp_path):
    known = {"ATELIER": live_server.url, "KEY": alice.key}
    script = "\n".join(["set -eu", *EXAMPLES])
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=os.environ | known, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((tmp_path / "answer.json").read_text())["usage"]["generated_images"] == 1
    image = Image.open(tmp_path / "circle.jpeg")
    assert (image.format, image.size) == ("JPEG", (256, 256))
    events = re.findall(r"^event: (.*)$", (tmp_path / "events.txt").read_text(), re.MULTILINE)
    assert events == ["image_generation.partial_succeeded"] * 2 + ["image_generation.completed"]
    assert sorted(Job.objects.values_list("request__task", flat=True)) == ["img2img", "txt2img"]


def test_every_field_is_in_the_document():
    table = DOCUMENT.partition("## Request")[2].partition("## Answer")[0]
    assert [name for name in ImageRequest.model_fields if f"`{name}" not in table] == []
