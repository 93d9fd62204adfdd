"""The examples of the console's API pages, as a tenant copies them, run against the platform's processes.

Each program saves an image, whose content is judged. Java and Node.js are skipped where they are not installed.
"""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.e2e.installation import TIMEOUT_S, Installation
from tests.support.judge import judge

pytestmark = [pytest.mark.processes, pytest.mark.demo]

PASSWORD = "a long password of the flower shop"
COMMANDS = {
    "curl": ["sh"],
    "python": [sys.executable],
    "javascript": ["node"],
    "java": ["java"],  # compiles a single file by itself
}
DIALECTS = ("a1111", "ark", "native", "openai", "smzdm", "stablediffusionapi", "volcengine", "zhiqite")
EXAMPLE = re.compile(
    r'<h3>[^<]* <code>([^<]*)</code></h3>\s*<pre id="code-(\w+)"[^>]*>(.*?)</pre>', re.DOTALL
)


@pytest.fixture(scope="module")
def tenant(installation: Installation) -> httpx.Client:
    """A tenant's user, signed in to the console. Its source has an image."""
    image = {"prompt": "a red circle on a blue background", "width": 256, "height": 256, "steps": 8}
    assert installation.client.post("/sdapi/v1/txt2img", json=image).status_code == 200
    installation.python(f"""
from django.contrib.auth.models import Group, User
from access.models import AccessKey, Membership
source = AccessKey.objects.get(key_id={installation.credentials["key_id"]!r}).source
user = User.objects.create_user("florist", password={PASSWORD!r}, is_staff=True)
user.groups.add(Group.objects.get(name="tenant"))
Membership.objects.create(user=user, source=source)
print("null")""")
    client = httpx.Client(base_url=installation.base_url, timeout=TIMEOUT_S, follow_redirects=True)
    client.get("/admin/login/")
    form = {"username": "florist", "password": PASSWORD, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
    assert client.post("/admin/login/?next=/admin/", data=form).status_code == 200
    return client


def examples_on(page: str) -> dict[str, tuple[str, str]]:
    """File name and text by language."""
    return {language: (file, html.unescape(text)) for file, language, text in EXAMPLE.findall(page)}


def start(folder: Path, language: str, file: str, text: str, secret: str) -> subprocess.Popen[str]:
    folder.mkdir()
    (folder / file).write_text(text)
    return subprocess.Popen(
        [*COMMANDS[language], file],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "SECRET": secret,
            "HOME": str(folder),
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("dialect", DIALECTS)
def test_examples_generate_the_image(
    tenant: httpx.Client, installation: Installation, tmp_path: Path, dialect: str
) -> None:
    key_id, secret = (installation.credentials[name] for name in ("key_id", "secret"))
    page = tenant.get(f"/admin/apis/{dialect}/?key={key_id}")
    assert page.status_code == 200
    examples = examples_on(page.text)
    assert examples.keys() == COMMANDS.keys()
    assert all(key_id in text and secret not in text for _file, text in examples.values())
    runs = {
        language: start(tmp_path / language, language, file, text, secret)
        for language, (file, text) in examples.items()
        if shutil.which(COMMANDS[language][0])
    }
    assert {"curl", "python"} <= runs.keys()
    for language, run in runs.items():
        output, _none = run.communicate(timeout=TIMEOUT_S)
        assert run.returncode == 0, f"{language}: {output}"
        image = Image.open(tmp_path / language / "image.png")
        if dialect == "smzdm":  # the background of the source's image is removed
            alpha = np.asarray(image.convert("RGBA"))[..., 3]
            assert 0 < np.mean(alpha > 128) < 1, language
            continue
        verdict = judge(image.convert("RGB"))
        assert (verdict.color, verdict.background) == ("red", "blue"), language
