"""An example call as a shell script with curl. Values of responses are found by grep, so that it needs no JSON tool."""

from __future__ import annotations

import shlex
from typing import Any
from urllib.parse import urlsplit

from .call import KEY_ID_VARIABLE, SECRET_VARIABLE, TASK, Call, Form, Scheme, last_name
from .literals import pretty

VALUE = """\
# The first value of a name in a response.
value() { grep -o "\\"$1\\": *\\[*\\"*[^\\",}]*" answer.json | head -n 1 | sed 's/^[^:]*: *\\[*"*//'; }
"""
SIGNED = """\
# POST with Volcengine's signature: path and query, with the body on standard input.
digest() { printf %s "$1" | openssl dgst -sha256 -hex | sed 's/.* //'; }
mac() { printf %s "$2" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$1" -hex | sed 's/.* //'; }
post() {
  BODY=$(cat) DATE=$(date -u +%Y%m%dT%H%M%SZ)
  SCOPE=${DATE%T*}/cn-north-1/cv/request
  SIGNATURE=$(printf %s "$SECRET" | od -An -tx1 | tr -d ' \\n')
  for PART in "${DATE%T*}" cn-north-1 cv request; do SIGNATURE=$(mac "$SIGNATURE" "$PART"); done
  CANONICAL=$(printf 'POST\\n/\\n%s\\nhost:%s\\nx-date:%s\\n\\nhost;x-date\\n%s' "${1#*\\?}" HOST "$DATE" "$(digest "$BODY")")
  SIGNATURE=$(mac "$SIGNATURE" "$(printf 'HMAC-SHA256\\n%s\\n%s\\n%s' "$DATE" "$SCOPE" "$(digest "$CANONICAL")")")
  printf %s "$BODY" | curl -sS --fail-with-body "$BASE$1" -H "X-Date: $DATE" -H 'Content-Type: application/json' \\
    -H "Authorization: HMAC-SHA256 Credential=$KEY_ID/$SCOPE, SignedHeaders=host;x-date, Signature=$SIGNATURE" \\
    --data-binary @- -o answer.json
}
"""


def curl(call: Call) -> str:
    """The call as a script of a POSIX shell that reads the secret from the environment."""
    head = f"BASE={shlex.quote(call.base_url)}\n"
    variables = [SECRET_VARIABLE] if call.key_id else [KEY_ID_VARIABLE, SECRET_VARIABLE]
    head += f"{KEY_ID_VARIABLE}={shlex.quote(call.key_id)}\n" if call.key_id else ""
    head += "".join(f': "${{{name}:?}}"  # export {name}=...\n' for name in variables)
    if call.scheme == Scheme.SIGNED:
        host = shlex.quote(urlsplit(call.base_url).netloc)
        signed = SIGNED if call.result else SIGNED.replace(" -o answer.json", "")
        head += signed.replace(" HOST ", f" {host} ")
    return "\n".join([head + VALUE if call.result else head.rstrip(), *_program(call), ""])


def _program(call: Call) -> list[str]:
    lines = [_post(call, call.path, call.body)]
    if wait := call.wait:
        query = _get(call, wait.path) if wait.body is None else _post(call, wait.path, wait.body)
        lines += [f"TASK=$(value {last_name(wait.id_at)})"] if wait.id_at else []
        lines += [query] if wait.starts_with_query else []
        state = last_name(wait.state_at)
        lines += [
            f"while value {state} | grep -qx {' '.join(f'-e {one}' for one in wait.pending)}; do",
            "  sleep 1",
        ]
        lines += [_in_loop(query), "done"]
    result = call.result
    if result is None:
        return lines
    name = last_name(result.at) if result.at else ""
    save = {
        Form.BASE64: f"value {name} | base64 -d > {result.file}",
        Form.URL: f'curl -sS --fail-with-body "$(value {name})" -o {result.file}',
        Form.PATH: f'curl -sS --fail-with-body "$BASE{_path(result.path)}" {_credentials(call)} -o {result.file}',
    }[result.form]
    return [*lines, save]


def _post(call: Call, path: str, body: dict[str, Any]) -> str:
    options = "'Content-Type: application/json'"
    if call.scheme == Scheme.SIGNED:
        return f"post {shlex.quote(path)} <<END\n{_body(body)}\nEND"
    credentials = _credentials(call)
    credentials = f" \\\n  {credentials}" if credentials else ""
    return (
        f'curl -sS --fail-with-body "$BASE{_path(path)}"{credentials} \\\n  -H {options} '
        f"--data-binary @-{' -o answer.json' if call.result else ''} <<END\n{_body(body)}\nEND"
    )


def _get(call: Call, path: str) -> str:
    return f'curl -sS --fail-with-body "$BASE{_path(path)}" {_credentials(call)} -o answer.json'


def _in_loop(query: str) -> str:
    """Indent the command, but not its here-document."""
    command, *document = query.split(" <<END\n", 1)
    return " <<END\n".join(["  " + command.replace("\n", "\n  "), *document])


def _credentials(call: Call) -> str:
    first, second = call.header_names
    return {
        Scheme.BASIC: '-u "$KEY_ID:$SECRET"',
        Scheme.BEARER: '-H "Authorization: Bearer $KEY_ID:$SECRET"',
        Scheme.HEADERS: f'-H "{first}: $KEY_ID" -H "{second}: $SECRET"',
    }.get(call.scheme, "")


def _path(path: str) -> str:
    return path.replace(TASK, "$TASK")


def _body(body: dict[str, Any]) -> str:
    """JSON of an unquoted here-document, in which only the variables of the script are expanded."""
    return pretty(body, '"$KEY_ID:$SECRET"', _escaped)


def _escaped(text: str) -> str:
    for special in ("\\", "$", "`"):
        text = text.replace(special, "\\" + special)
    return text
