"""Paths that are no route: a slash too many, or not there."""

from __future__ import annotations

from urllib.parse import quote

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import Resolver404, resolve
from django.views.decorators.csrf import csrf_exempt


@csrf_exempt
def not_found(request: HttpRequest, **_parts: str) -> HttpResponse:
    """307 to the bare path where there is one: the client repeats its method and body."""
    bare = request.path_info.rstrip("/")
    if request.path_info.endswith("/") and _is_route(bare):
        query = request.META.get("QUERY_STRING", "")
        location = quote(bare) + (f"?{query}" if query else "")
        return HttpResponse(status=307, headers={"Location": location})
    return JsonResponse({"detail": "Not Found"}, status=404)


def _is_route(path: str) -> bool:
    try:
        return resolve(path).func is not not_found
    except Resolver404:
        return False
