"""The examples of docs/dialects/a1111.md run unchanged and generate what they describe."""

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
def test_examples_give_the_documented_results(platform, credentials, tmp_path) -> None:
    environment = {"ATELIER": platform, "KEY": ":".join(credentials)}
    script = "\n".join(["set -eu", *EXAMPLES])
    process = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stdout + process.stderr
    circle = Image.open(tmp_path / "circle.png")
    assert circle.size == (256, 256)
    verdict = judge(circle)
    assert (verdict.shape, verdict.colour, verdict.background) == ("circle", "red", "blue")
    assert '"completed":true' in process.stdout
    bodies = {
        name: json.loads((tmp_path / f"{name}.json").read_text()) for name in ("answer", "again", "changed")
    }
    assert bodies["again"]["images"] == bodies["answer"]["images"]
    assert bodies["changed"]["parameters"]["prompt"] == "a red circle on a blue background"
    assert json.loads(bodies["changed"]["info"])["sampler_name"] == "DPM++ 2M"
    assert Job.objects.count() == 2
