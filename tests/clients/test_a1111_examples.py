"""The shell examples of docs/dialects/a1111.md run unchanged and generate the described images."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from jobs.models import Job
from tests.support.judge import judge

pytestmark = [pytest.mark.demo, pytest.mark.django_db(transaction=True)]

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "dialects" / "a1111.md"
EXAMPLES = re.findall(r"^```sh\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(not shutil.which("curl"), reason="the examples are written for curl")
def test_examples_of_the_documentation_work(platform, credentials, demo_tagger, tmp_path) -> None:
    variables = {"ATELIER": platform, "KEY": ":".join(credentials)}
    script = "\n".join(["set -eu", *EXAMPLES])
    completed = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=os.environ | variables, capture_output=True, text=True
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    circle = Image.open(tmp_path / "circle.png")
    assert circle.size == (256, 256)
    verdict = judge(circle)
    assert (verdict.shape, verdict.color, verdict.background) == ("circle", "red", "blue")
    assert '"completed":true' in completed.stdout
    bodies = {
        name: json.loads((tmp_path / f"{name}.json").read_text()) for name in ("response", "again", "changed")
    }
    assert bodies["again"]["images"] == bodies["response"]["images"]
    assert bodies["changed"]["parameters"]["prompt"] == "a red circle on a blue background"
    assert json.loads(bodies["changed"]["info"])["sampler_name"] == "DPM++ 2M"
    caption = json.loads((tmp_path / "caption.json").read_text())["caption"]
    assert caption == "blue background, circle, red"
    assert Job.objects.count() == 3
