"""An example call in Python, with requests."""

from __future__ import annotations

import json
from typing import Any

from .call import KEY_ID_VARIABLE, SECRET_VARIABLE, TASK, Call, Form, Scheme
from .literals import python_literal, subscripts

SIGNED = '''\
def post(path, body):
    """POST with Volcengine's signature."""
    data, query = json.dumps(body).encode(), path.partition("?")[2]
    date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = [date[:8], "cn-north-1", "cv", "request"]
    canonical = f"POST\\n/\\n{query}\\nhost:{urlsplit(BASE).netloc}\\nx-date:{date}\\n\\nhost;x-date\\n{sha256(data)}"
    text = "\\n".join(["HMAC-SHA256", date, "/".join(scope), sha256(canonical.encode())])
    signature = SECRET.encode()
    for part in [*scope, text]:
        signature = hmac.new(signature, part.encode(), hashlib.sha256).digest()
    headers = {
        "X-Date": date,
        "Content-Type": "application/json",
        "Authorization": f"HMAC-SHA256 Credential={KEY_ID}/{'/'.join(scope)}, "
        f"SignedHeaders=host;x-date, Signature={signature.hex()}",
    }
    response = requests.post(BASE + path, data=data, headers=headers)
    response.raise_for_status()
    return response.json()


def sha256(data):
    return hashlib.sha256(data).hexdigest()
'''
POST = """\
def post(path, body):
    response = api.post(BASE + path, json=body)
    response.raise_for_status()
    return response.json()
"""
GET = """\


def get(path):
    response = api.get(BASE + path)
    response.raise_for_status()
    return response.json()
"""


def python(call: Call) -> str:
    """The call as a program that reads the secret from the environment."""
    parts = [_imports(call), _constants(call), SIGNED if call.scheme == Scheme.SIGNED else _session(call)]
    return "\n".join([*parts, "", "\n".join(_program(call)), ""])


def _imports(call: Call) -> str:
    modules = {"os"} | ({"time"} if call.wait else set())
    modules |= {"base64"} if call.result and call.result.form == Form.BASE64 else set()
    modules |= {"hashlib", "hmac", "json", "time"} if call.scheme == Scheme.SIGNED else set()
    lines = [f"import {name}" for name in sorted(modules)]
    lines += ["from urllib.parse import urlsplit"] if call.scheme == Scheme.SIGNED else []
    return "\n".join([*lines, "", "import requests", ""])


def _constants(call: Call) -> str:
    base = json.dumps(call.base_url)
    key_id = json.dumps(call.key_id) if call.key_id else f'os.environ["{KEY_ID_VARIABLE}"]'
    return f'BASE = {base}\nKEY_ID = {key_id}\nSECRET = os.environ["{SECRET_VARIABLE}"]\n'


def _session(call: Call) -> str:
    first, second = call.header_names
    credentials = {
        Scheme.BASIC: "api.auth = (KEY_ID, SECRET)\n",
        Scheme.BEARER: 'api.headers["Authorization"] = f"Bearer {KEY_ID}:{SECRET}"\n',
        Scheme.HEADERS: f'api.headers.update({{"{first}": KEY_ID, "{second}": SECRET}})\n',
    }.get(call.scheme, "")
    return f"api = requests.Session()\n{credentials}\n\n{POST}" + (GET if call.polls_by_get else "")


def _program(call: Call) -> list[str]:
    lines = [f"answer = post({_path(call.path)}, {_body(call.body)})"]
    if wait := call.wait:
        query = (
            f"get({_path(wait.path)})"
            if wait.body is None
            else f"post({_path(wait.path)}, {_body(wait.body)})"
        )
        lines += [f"task = answer{subscripts(wait.id_at)}"] if wait.id_at else []
        lines += [f"answer = {query}"] if wait.starts_with_query else []
        lines += [f"while str(answer{subscripts(wait.state_at)}) in {list(wait.pending)!r}:"]
        lines += ["    time.sleep(1)", *f"answer = {query}".replace("\n", "\n    ").splitlines()]
        first = lines.index("    time.sleep(1)") + 1
        lines[first] = "    " + lines[first]
    result = call.result
    if result is None:
        return [*lines, "print(answer)"]
    at = subscripts(result.at)
    content = {
        Form.BASE64: f"base64.b64decode(answer{at})",
        Form.URL: f"requests.get(answer{at}).content",
        Form.PATH: f"api.get(BASE + {_path(result.path)}).content",
    }[result.form]
    return [*lines, f'with open("{result.file}", "wb") as file:', f"    file.write({content})"]


def _path(path: str) -> str:
    return f'f"{path.replace(TASK, "{task}")}"' if TASK in path else json.dumps(path)


def _body(body: dict[str, Any]) -> str:
    return python_literal(body)
