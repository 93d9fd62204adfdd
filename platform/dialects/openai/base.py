"""Base views of the OpenAI Images dialect."""

from __future__ import annotations

from django.utils.translation import gettext as _
from rest_framework.response import Response

from dialects.http import OUTAGE_RETRY_S, DialectView, NotFoundView

from .authentication import BearerKey
from .errors import APIError, exception_response


class OpenAIView(DialectView):
    http_method_names = ["get", "post", "head"]
    authentication_classes = [BearerKey]
    error_response = staticmethod(exception_response)

    def unavailable(self, message: str) -> APIError:
        return APIError(503, "server_error", message, code="overloaded", retry_after=OUTAGE_RETRY_S)


class NotFound(NotFoundView, OpenAIView):
    def not_found(self) -> Exception:
        message = _("Unknown request URL: %(method)s %(path)s.")
        words = {"method": str(self.request.method)[:16], "path": self.request.path[:200]}
        return APIError(404, "invalid_request_error", message % words, code="unknown_url")


class NoLanguageModel(NotFoundView, OpenAIView):
    """Routes of language models, embeddings and audio."""

    def not_found(self) -> Exception:
        message = _("This server generates images and has no language model: use /v1/images/generations.")
        return APIError(404, "invalid_request_error", message, code="unknown_url")


def json_response(body: dict[str, object], status: int = 200, **headers: str) -> Response:
    return Response(body, status=status, headers=headers)
