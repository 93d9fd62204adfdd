"""A request signed by npm's ``@volcengine/openapi``, the vendor's own; ``NODE_PATH`` says where it is."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

PACKAGE = "@volcengine/openapi"
SIGN = """
const {Signer} = require("@volcengine/openapi");
const [id, secret, url, body] = process.argv.slice(1);
const params = {Action: "CVProcess", Version: "2022-08-31"};
const request = {region: "cn-north-1", method: "POST", params, headers: {}, body};
new Signer(request, "cv").addAuthorization({accessKeyId: id, secretKey: secret});
fetch(`${url}/?Action=CVProcess&Version=2022-08-31`, {
  method: "POST", body, headers: {...request.headers, "Content-Type": "application/json"}
}).then(response => response.text()).then(console.log);
"""


def cv_process(url: str, key_id: str, secret: str, body: dict[str, Any]) -> dict[str, Any]:
    """What the platform at this address answers. Skips the test where there is no such package."""
    node = shutil.which("node")
    if node is None or _run(node, f'require("{PACKAGE}")').returncode:
        pytest.skip(f"no node, or no {PACKAGE} in NODE_PATH")
    done = _run(node, SIGN, key_id, secret, url, json.dumps(body))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _run(node: str, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([node, "-e", script, *arguments], capture_output=True, text=True, check=False)
