"""A job of this API as it would be asked for again. Others have no req_key, and there is no request without a style."""

from __future__ import annotations

import shlex
from urllib.parse import urlsplit

from django.utils.translation import gettext as _

from jobs.curl_export import Asked, CannotSay, in_shell
from jobs.images.signed_urls import input_url

from .actions import OPERATIONS
from .authentication import DIALECT
from .envelope import FLAT

ACTION = "CVProcess"
# The signature as signature.py reads it, of the headers host and x-date.
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


def curl(asked: Asked) -> str:
    job = asked.job
    if job.dialect != DIALECT:
        raise CannotSay(_("draws by a style, its req_key, and this job has none"))
    body = {name: value for name, value in job.received.items() if name not in ("picture", "mask")}
    body.setdefault("req_key", _style_of(job.operation))
    body["seed"] = asked.request.seed
    pictures = [picture.sha256 for picture in asked.request.init_images]
    if asked.request.change_background and asked.request.change_background.mask:
        pictures.append(asked.request.change_background.mask.sha256)
    if pictures:
        body["image_urls"] = [input_url(sha256, asked.base) for sha256 in pictures]
    query = f"Action={ACTION}&Version={FLAT}"
    return SIGNED.format(
        body=in_shell(body),
        query=shlex.quote(query),
        host=shlex.quote(urlsplit(asked.base).netloc),
        url=shlex.quote(f"{asked.base}/?{query}"),
    )


def _style_of(action: str) -> str:
    """Of the actions that are a style's own."""
    known = (operation.req_key for (_version, name), operation in OPERATIONS.items() if name == action)
    return next(known, "")
