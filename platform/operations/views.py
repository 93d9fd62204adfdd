"""Endpoints for load balancers and monitoring: ``/readyz`` and ``/metrics``."""

from __future__ import annotations

import hmac

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from access.addresses.hosts import any_host
from access.addresses.networks import in_networks

from . import readiness
from .metrics import exposition


@any_host
@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Status 200 if all checks pass, else 503. Public, so it does not show the reasons of failures."""
    results = readiness.run_checks()
    ready = all(results.values())
    checks = {name: "ok" if passed else "failed" for name, passed in results.items()}
    return JsonResponse(
        {"status": "ok" if ready else "unavailable", "checks": checks}, status=200 if ready else 503
    )


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Metrics in Prometheus format; 404 for clients that may not read them."""
    if not _may_read(request):
        raise Http404
    return HttpResponse(exposition(), content_type=CONTENT_TYPE_LATEST)


def _may_read(request: HttpRequest) -> bool:
    if in_networks(request.META.get("REMOTE_ADDR", ""), settings.METRICS_NETWORKS):
        return True
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    token = settings.METRICS_TOKEN
    return (
        bool(token)
        and scheme.lower() == "bearer"
        and hmac.compare_digest(credentials.encode(), token.encode())
    )
