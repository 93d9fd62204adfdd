"""The playground's request as code, in each API that the source may use."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from access.keys.console_keys import PREFIX, own_key
from access.models import AccessKey, BusinessSource
from jobs.api_reference import dialects
from jobs.api_reference.contexts import context_of
from jobs.api_reference.examples.languages import LANGUAGES
from jobs.api_reference.request_calls import expressed
from jobs.images.signed_urls import base_url

from .json_body import InvalidBody, read_object
from .sources import named_source


@require_POST
def code(request: HttpRequest) -> JsonResponse:
    """Body: ``{"source", "dialect", "language", "request": body of POST /api/v1/jobs}``.

    Answers with the code, and with the fields that the API lacks or the reason why there is no code.
    """
    try:
        body = read_object(request)
    except InvalidBody as error:
        return JsonResponse({"detail": str(error)}, status=error.status)
    source = named_source(request, str(body.get("source", "")))
    sent, name = body.get("request"), str(body.get("dialect", ""))
    language = next((each for each in LANGUAGES if each.key == body.get("language")), None)
    if not isinstance(sent, dict) or language is None or name not in dialects.allowed(source, None):
        return JsonResponse(
            {"detail": _("The body needs an API of the source, a language and a request.")}, status=422
        )
    key = key_of(source)
    reader = key or own_key(request.user, source)  # type: ignore[arg-type]
    found = expressed(name, sent, reader, context_of(source, key, base_url(request)))
    answer: dict[str, Any] = {"code": "", "lacking": list(found.lacking), "reason": found.reason}
    if found.call is not None:
        answer["code"] = language.render(found.call)
    return JsonResponse(answer)


def key_of(source: BusinessSource) -> AccessKey | None:
    """The newest key of the source, whose id the code has; keys of the console's users have no known secret."""
    keys = AccessKey.objects.filter(source=source, enabled=True, session_token=None)
    return keys.exclude(key_id__startswith=PREFIX).defer("secret").order_by("-created_at").first()
