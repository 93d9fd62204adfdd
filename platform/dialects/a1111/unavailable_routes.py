"""Routes of the original that have no effect or are not available on this platform."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import Resolver404, resolve
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from rest_framework.request import Request
from rest_framework.response import Response

from access.addresses.hosts import any_host
from jobs.images.signed_urls import public_path

from .base import A1111View
from .errors import WireError
from .schema.json_body import read_object


class Weights(A1111View):
    """No-op: runners load and unload models according to the demand of all clients."""

    def post(self, request: Request) -> Response:
        return Response({})


class Training(A1111View):
    def post(self, request: Request) -> Response:
        read_object(request._request)
        raise WireError(501, detail=_("Training is not supported."))


ROUTES: dict[str, Any] = {
    "unload-checkpoint": Weights,
    "reload-checkpoint": Weights,
    "create/embedding": Training,
    "create/hypernetwork": Training,
    "train/embedding": Training,
    "train/hypernetwork": Training,
}


@any_host
@csrf_exempt
def not_found(request: HttpRequest, **_parts: str) -> HttpResponse:
    """Return 404, or 307 to the path without its trailing slash if that is a route.

    With 307, clients repeat the method and the body.
    """
    bare = request.path_info.rstrip("/")
    if request.path_info.endswith("/") and _is_route(bare):
        query = request.META.get("QUERY_STRING", "")
        location = public_path(quote(bare)) + (f"?{query}" if query else "")
        return HttpResponse(status=307, headers={"Location": location})
    return JsonResponse({"detail": "Not Found"}, status=404)


def _is_route(path: str) -> bool:
    try:
        return resolve(path).func is not not_found
    except Resolver404:
        return False
