"""docs/dialects/volcengine.md: its examples run unchanged, and its table of errors is complete."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from dialects.volcengine.errors import GATEWAY, SERVICE
from tests.dialects.volcengine.conftest import png

pytestmark = pytest.mark.slow

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "dialects" / "volcengine.md"
ERRORS, NEVER = DOCUMENT.read_text().partition("## Errors")[2].split("### Codes that cannot occur")
EXAMPLES = re.findall(r"^```sh\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("openssl")),
    reason="the examples are written for curl and openssl",
)
def test_examples_run_unchanged(live_server, alice, style, worker, tmp_path) -> None:
    (tmp_path / "input.png").write_bytes(png(128, 64))
    known = {"ATELIER": live_server.url, "KEY_ID": alice.key.key_id, "SECRET": alice.secret}
    script = "\n".join(["set -eu", *EXAMPLES])
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=os.environ | known, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert Image.open(tmp_path / "output.png").size == (256, 128)
    assert json.loads(done.stdout)["data"]["image_urls"][0].startswith(live_server.url)


def codes(table: str) -> set[str]:
    """The codes in a table's first column."""
    first = "".join(re.findall(r"^\|([^|]*)\|", table, re.MULTILINE))
    return set(re.findall(r"\b\d{5}\b|[A-Z]\w+", first.replace("HTTP", "")))


def test_every_code_is_documented() -> None:
    known = {str(code) for code in SERVICE} | set(GATEWAY)
    assert codes(ERRORS) == known
    assert not codes(NEVER) & known
