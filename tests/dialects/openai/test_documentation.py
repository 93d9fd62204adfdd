"""The examples of docs/dialects/openai.md run unchanged, and its tables have every field."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from access.keys.bearer_tokens import opaque_token
from dialects.openai.request.fields import EditFields
from jobs.models import Job
from tests.dialects.openai.test_streams import events

pytestmark = pytest.mark.slow

DOCUMENT = (Path(__file__).resolve().parents[3] / "docs" / "dialects" / "openai.md").read_text()
EXAMPLES = re.findall(r"^```sh\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(not shutil.which("curl"), reason="the examples are written for curl")
def test_examples_run_unchanged(live_server, alice, worker, tmp_path):
    known = {"ATELIER": live_server.url, "KEY": opaque_token(alice.key.key_id, alice.secret)}
    known["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # for Pillow
    script = "\n".join(["set -eu", *EXAMPLES])
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=os.environ | known, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answers = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert Image.open(tmp_path / "circle.png").size == (256, 256)
    for name in ("edited", "masked", "done"):
        assert answers[name]["data"][0]["b64_json"], name
    assert len(answers["variations"]["data"]) == 2
    assert answers["job"]["object"] == "image.generation.job"
    assert [model["id"] for model in answers["models"]["data"]] == ["shapes"]
    names = [name for name, _data in events((tmp_path / "events.txt").read_text())]
    assert names[-1] == "image_generation.completed"
    tasks = sorted(Job.objects.values_list("operation", flat=True))
    assert tasks == ["edits"] * 2 + ["generations"] * 3 + ["variations"]


def test_every_field_is_in_the_document():
    table = DOCUMENT.partition("## Fields")[2].partition("## Answer")[0]
    names = [field.alias or name for name, field in EditFields.model_fields.items()]
    assert [name for name in names if f"`{name}`" not in table] == []
