"""View of ``/``: dispatches requests of the Volcengine API to that dialect and redirects browsers to the console."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt

from access.addresses.hosts import any_host
from dialects.volcengine import views as volcengine
from jobs.images.signed_urls import public_path


@any_host
@csrf_exempt
def root(request: HttpRequest) -> HttpResponse:
    if volcengine.is_addressed(request):
        return volcengine.gateway(request)
    request.get_host()  # raises DisallowedHost
    if request.method in ("GET", "HEAD"):
        return to_console(request)
    raise Http404


def to_console(request: HttpRequest) -> HttpResponse:
    """Redirect to the console."""
    return redirect(public_path(reverse("admin:index")))
