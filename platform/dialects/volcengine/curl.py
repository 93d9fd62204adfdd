"""Render a job of this dialect as a bash script that signs and repeats its request."""

from __future__ import annotations

import shlex
from urllib.parse import urlsplit

from jobs.curl_export import EXAMPLE_PROMPT, Context, Example, in_shell
from jobs.images.signed_urls import input_url

from .actions import OPERATIONS
from .envelope import FLAT

ACTION = "CVProcess"
# Computes the signature that signature.py verifies, over the headers host and x-date.
SIGNED = """\
BODY=$(cat <<END
{body}
END
)
DATE=$(date -u +%Y%m%dT%H%M%SZ)
SCOPE=${{DATE%T*}}/cn-north-1/cv/request
digest() {{ printf %s "$1" | openssl dgst -sha256 -hex | sed 's/.* //'; }}
mac() {{ printf %s "$2" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$1" -hex | sed 's/.* //'; }}
SIGNING_KEY=$(printf %s "$SECRET" | od -An -tx1 | tr -d ' \\n')
for PART in "${{DATE%T*}}" cn-north-1 cv request; do SIGNING_KEY=$(mac "$SIGNING_KEY" "$PART"); done
CANONICAL=$(printf 'POST\\n/\\n%s\\nhost:%s\\nx-date:%s\\n\\nhost;x-date\\n%s' \\
  {query} {host} "$DATE" "$(digest "$BODY")")
SIGNATURE=$(mac "$SIGNING_KEY" "$(printf 'HMAC-SHA256\\n%s\\n%s\\n%s' "$DATE" "$SCOPE" "$(digest "$CANONICAL")")")
curl -sS {url} \\
  -H "X-Date: $DATE" \\
  -H "Authorization: HMAC-SHA256 Credential=$KEY_ID/$SCOPE, SignedHeaders=host;x-date, Signature=$SIGNATURE" \\
  -H 'Content-Type: application/json' \\
  --data-binary "$BODY\""""
EXAMPLE = Example(
    "CVProcess", {"req_key": "high_aes_general_v20", "prompt": EXAMPLE_PROMPT, "return_url": True}
)


def curl(context: Context) -> str:
    job, request = context.job, context.request
    body = {name: value for name, value in job.received.items() if name not in ("picture", "mask")}
    body.setdefault("req_key", _style_of(job.operation))
    body["seed"] = request.seed
    images = [image.sha256 for image in request.init_images]
    if request.change_background and request.change_background.mask:
        images.append(request.change_background.mask.sha256)
    if images:
        body["image_urls"] = [input_url(sha256, context.base_url) for sha256 in images]
    query = f"Action={ACTION}&Version={FLAT}"
    return SIGNED.format(
        body=in_shell(body),
        query=shlex.quote(query),
        host=shlex.quote(urlsplit(context.base_url).netloc),
        url=shlex.quote(f"{context.base_url}/?{query}"),
    )


def _style_of(action: str) -> str:
    """Style of an action that supports only one."""
    known = (operation.req_key for (_version, name), operation in OPERATIONS.items() if name == action)
    return next(known, "")
