"""The examples of docs/dialects/zhiqite.md run unchanged."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from models_registry.models import Kind

pytestmark = pytest.mark.slow

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "dialects" / "zhiqite.md"
EXAMPLES = re.findall(r"^```sh\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(not shutil.which("curl"), reason="the examples are written for curl")
def test_examples_run_unchanged(transactional_db, live_server, alice, register, web, text_model, face_models):
    register(Kind.CHECKPOINT, "checkpoints/atelier-shapes.safetensors")
    known = {"ATELIER": live_server.url, "KEY_ID": alice.key.key_id, "SECRET": alice.secret}
    known["IMAGE"] = web.url("/red.png")
    script = "\n".join(f"{example}echo" for example in EXAMPLES)
    done = subprocess.run(["bash", "-euc", script], env=os.environ | known, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    responses = [json.loads(line) for line in done.stdout.splitlines()]
    assert [response["code"] for response in responses] == ["200"] * len(EXAMPLES)
    assert responses[-1]["data"]["translation"] == "a red circle"
    assert {response["data"].get("task_id") for response in responses} >= {
        "first",
        "second",
        "third",
        "fourth",
    }
