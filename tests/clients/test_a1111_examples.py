"""The examples of docs/dialects/a1111.md run as they are, and draw what they say."""

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
def test_the_examples_do_what_they_say(platform, credentials, tmp_path) -> None:
    known = {"ATELIER": platform, "KEY": ":".join(credentials)}
    script = "\n".join(["set -eu", *EXAMPLES])
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=os.environ | known, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    circle = Image.open(tmp_path / "circle.png")
    assert circle.size == (256, 256)
    verdict = judge(circle)
    assert (verdict.shape, verdict.colour, verdict.background) == ("circle", "red", "blue")
    assert '"completed":true' in done.stdout
    answers = {
        name: json.loads((tmp_path / f"{name}.json").read_text()) for name in ("answer", "again", "changed")
    }
    assert answers["again"]["images"] == answers["answer"]["images"]
    assert answers["changed"]["parameters"]["prompt"] == "a red circle on a blue background"
    assert json.loads(answers["changed"]["info"])["sampler_name"] == "DPM++ 2M"
    assert Job.objects.count() == 2
