"""A request signed by the vendor's npm package ``@volcengine/openapi``, found through ``NODE_PATH``."""

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
    """Send a signed CVProcess request to ``url`` and return the response. Skips the test if the package is not installed."""
    node = shutil.which("node")
    if node is None or _run(node, f'require("{PACKAGE}")').returncode:
        pytest.skip(f"node or {PACKAGE} (NODE_PATH) is not installed")
    process = _run(node, SIGN, key_id, secret, url, json.dumps(body))
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


def _run(node: str, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([node, "-e", script, *arguments], capture_output=True, text=True, check=False)
