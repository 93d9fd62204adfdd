"""An example call in JavaScript, for Node.js 18 and later, without packages."""

from __future__ import annotations

import json
from typing import Any

from .call import KEY_ID_VARIABLE, SECRET_VARIABLE, TASK, Call, Form, Scheme
from .literals import pretty, subscripts

SIGNED = """\
const sha256 = (data) => createHash("sha256").update(data).digest("hex");

// POST with Volcengine's signature.
const post = async (path, body) => {
  const data = JSON.stringify(body);
  const date = new Date().toISOString().replace(/[-:]|\\.\\d+/g, "");
  const scope = [date.slice(0, 8), "cn-north-1", "cv", "request"];
  const canonical = ["POST", "/", path.split("?")[1], `host:${new URL(BASE).host}`, `x-date:${date}`, "", "host;x-date", sha256(data)];
  const text = ["HMAC-SHA256", date, scope.join("/"), sha256(canonical.join("\\n"))].join("\\n");
  const signature = [...scope, text].reduce((key, part) => createHmac("sha256", key).update(part).digest(), SECRET);
  const credential = `Credential=${KEY_ID}/${scope.join("/")}, SignedHeaders=host;x-date, Signature=${signature.toString("hex")}`;
  const headers = { "X-Date": date, "Content-Type": "application/json", Authorization: `HMAC-SHA256 ${credential}` };
  return read(await fetch(BASE + path, { method: "POST", headers, body: data }));
};
"""
POST = """\
const post = async (path, body) =>
  read(await fetch(BASE + path, { method: "POST", headers, body: JSON.stringify(body) }));
"""
READ = """\
const read = async (response) => {
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return response.json();
};
"""
GET = "const get = async (path) => read(await fetch(BASE + path, { headers }));\n"


def javascript(call: Call) -> str:
    """The call as a module (.mjs) that reads the secret from the environment."""
    imports = 'import { writeFile } from "node:fs/promises";\n' if call.result else ""
    if call.scheme == Scheme.SIGNED:
        imports = 'import { createHash, createHmac } from "node:crypto";\n' + imports
    key_id = json.dumps(call.key_id) if call.key_id else f"process.env.{KEY_ID_VARIABLE}"
    constants = f"const BASE = {json.dumps(call.base_url)};\nconst KEY_ID = {key_id};\n"
    constants += f"const SECRET = process.env.{SECRET_VARIABLE};\n"
    helpers = SIGNED if call.scheme == Scheme.SIGNED else _headers(call) + POST
    helpers += GET if call.polls_by_get else ""
    return "\n".join([imports, constants, READ + helpers, "\n".join(_program(call)), ""])


def _headers(call: Call) -> str:
    first, second = call.header_names
    credentials = {
        Scheme.BASIC: "Authorization: `Basic ${btoa(`${KEY_ID}:${SECRET}`)}`, ",
        Scheme.BEARER: "Authorization: `Bearer ${KEY_ID}:${SECRET}`, ",
        Scheme.HEADERS: f'"{first}": KEY_ID, "{second}": SECRET, ',
    }.get(call.scheme, "")
    return f'const headers = {{ {credentials}"Content-Type": "application/json" }};\n'


def _program(call: Call) -> list[str]:
    lines = [
        f"{'let' if call.wait else 'const'} answer = await post({_path(call.path)}, {_body(call.body)});"
    ]
    if wait := call.wait:
        query = (
            f"get({_path(wait.path)})"
            if wait.body is None
            else f"post({_path(wait.path)}, {_body(wait.body)})"
        )
        lines += [f"const task = answer{subscripts(wait.id_at)};"] if wait.id_at else []
        lines += [f"answer = await {query};"] if wait.starts_with_query else []
        pending = json.dumps(list(wait.pending))
        lines += [f"while ({pending}.includes(String(answer{subscripts(wait.state_at)}))) {{"]
        lines += ["  await new Promise((resolve) => setTimeout(resolve, 1000));"]
        lines += [f"  answer = await {query};".replace("\n", "\n  "), "}"]
    result = call.result
    if result is None:
        return [*lines, "console.log(JSON.stringify(answer, null, 2));"]
    at = subscripts(result.at)
    if result.form == Form.BASE64:
        return [*lines, f'await writeFile("{result.file}", Buffer.from(answer{at}, "base64"));']
    url = f"BASE + {_path(result.path)}, {{ headers }}" if result.form == Form.PATH else f"answer{at}"
    lines += [f"const image = await fetch({url});"]
    return [*lines, f'await writeFile("{result.file}", Buffer.from(await image.arrayBuffer()));']


def _path(path: str) -> str:
    return f"`{path.replace(TASK, '${task}')}`" if TASK in path else json.dumps(path)


def _body(body: dict[str, Any]) -> str:
    return pretty(body, "`${KEY_ID}:${SECRET}`")
