"""The examples of docs/api.md run unchanged."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from jobs.models import Job
from models_registry.models import Kind, ModelFile

pytestmark = pytest.mark.slow

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "api.md"
EXAMPLES = re.findall(r"^```sh\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(not shutil.which("curl"), reason="the examples are written for curl")
def test_examples_run_unchanged(live_server, alice, worker, face_models, tmp_path):
    ModelFile.objects.create(kind=Kind.TAGGER, name="wd", path="taggers/wd.onnx", sha256="a" * 64)
    known = {"ATELIER": live_server.url, "KEY": f"{alice.key.key_id}:{alice.secret}"}
    script = "\n".join(["set -eu", *EXAMPLES])
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=os.environ | known, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert Image.open(tmp_path / "circle.png").size == (64, 64)
    assert "event: end" in done.stdout
    assert Job.objects.get(operation="txt2img").state == "succeeded"
    assert Job.objects.filter(operation="img2img").count() == 1
    assert "['red_circle', 'blue_background', 'hatsune_miku_(cosplay)', '^_^']" in done.stdout
    assert Job.objects.filter(operation="analyze").count() == 2
