"""View of ``/``: dispatches requests of the Volcengine API to that dialect and redirects browsers to the console."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.csrf import csrf_exempt

from dialects.volcengine import views as volcengine


@csrf_exempt
def root(request: HttpRequest) -> HttpResponse:
    if volcengine.is_addressed(request):
        return volcengine.gateway(request)
    if request.method in ("GET", "HEAD"):
        return redirect("admin:index")
    raise Http404
