"""Views of the gallery: the page, and the actions on selected images."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import admin, messages
from django.core.exceptions import BadRequest, PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from access.tenancy import visible_sources
from console.models import Favorite
from console.tenants.roles import DELETE_IMAGES, SUBMIT_JOBS, VIEW_IMAGES
from jobs.errors import Refused
from jobs.models import Job, Output, OutputKind
from jobs.retention.erase import erase_outputs

from . import derived_jobs, zip_archive
from .filters import GalleryFilters
from .pages import Position, page_of

AFTER = "after"
SELECTED = "_selected_action"  # as in Django's lists; the audit trail keeps the first ones
MAX_DERIVED = 16  # new jobs of one action


def may_view(request: HttpRequest) -> bool:
    return bool(request.user.has_perms(VIEW_IMAGES))


def page(request: HttpRequest) -> HttpResponse:
    if not may_view(request):
        raise PermissionDenied
    filters = GalleryFilters(request.GET, user=request.user)
    after = Position.read(request.GET[AFTER]) if request.GET.get(AFTER) else None
    shown = page_of(filters, after)
    query = request.GET.copy()
    query.pop(AFTER, None)
    older = query.copy()
    if shown.older:
        older[AFTER] = str(shown.older)
    context = {
        **admin.site.each_context(request),
        "title": _("Gallery"),
        "filters": filters,
        "suggestions": filters.suggestions(),
        "page": shown,
        "favorites": _favorites_among(request, shown.outputs),
        "newest": "" if shown.is_first else f"?{query.urlencode()}",
        "older": f"?{older.urlencode()}" if shown.older else "",
        "may_submit": request.user.has_perm(SUBMIT_JOBS),
        "may_remove": request.user.has_perm(DELETE_IMAGES),
    }
    return render(request, "admin/gallery/page.html", context)


@require_POST
def act(request: HttpRequest) -> HttpResponseBase:
    """Run an action on the selected images. Images that the user may not see count as if they did not exist."""
    if not may_view(request):
        raise PermissionDenied
    action = ACTIONS.get(request.POST.get("action", ""))
    if action is None:
        raise BadRequest("unknown action")
    outputs = list(_selected(request))
    if not outputs:
        messages.warning(request, _("No images are selected."))
        return _back(request)
    return action(request, outputs)


def _selected(request: HttpRequest) -> QuerySet[Output]:
    try:
        ids = {int(text) for text in request.POST.getlist(SELECTED)}
    except ValueError as error:
        raise BadRequest("invalid id") from error
    if len(ids) > zip_archive.MAX_FILES or any(not 0 <= pk < 2**63 for pk in ids):
        raise BadRequest(f"select at most {zip_archive.MAX_FILES} images")
    outputs = Output.objects.filter(pk__in=ids, kind=OutputKind.IMAGE).select_related("job", "job__source")
    sources = visible_sources(request.user)
    if sources is not None:
        outputs = outputs.filter(job__source__in=sources)
    return outputs.order_by("-job__created_at", "-job__pk", "index")


def _favorites_among(request: HttpRequest, outputs: list[Output]) -> set[int]:
    mine = Favorite.objects.filter(user=request.user.pk, output__in=[output.pk for output in outputs])
    return set(mine.values_list("output_id", flat=True))


# Actions ----------------------------------------------------------------------------------------------------------


def _download(request: HttpRequest, outputs: list[Output]) -> HttpResponseBase:
    if sum(output.size_bytes for output in outputs) > zip_archive.MAX_BYTES:
        limit = zip_archive.MAX_BYTES >> 20
        messages.error(
            request, _("An archive has at most %(limit)d MB: select fewer images.") % {"limit": limit}
        )
        return _back(request)
    name = f"images-{timezone.localtime():%Y%m%d-%H%M%S}.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingHttpResponse(zip_archive.stream(outputs), content_type="application/zip", headers=headers)


def _remove(request: HttpRequest, outputs: list[Output]) -> HttpResponse:
    if not request.user.has_perm(DELETE_IMAGES):
        raise PermissionDenied
    count = erase_outputs(outputs)
    messages.success(
        request,
        ngettext("%(count)d image was removed.", "%(count)d images were removed.", count) % {"count": count},
    )
    return _back(request)


def _favorite(request: HttpRequest, outputs: list[Output]) -> HttpResponse:
    rows = [Favorite(user_id=request.user.pk, output=output) for output in outputs]
    Favorite.objects.bulk_create(rows, ignore_conflicts=True)
    return _back(request)


def _unfavorite(request: HttpRequest, outputs: list[Output]) -> HttpResponse:
    Favorite.objects.filter(user=request.user.pk, output__in=outputs).delete()
    return _back(request)


def _vary(request: HttpRequest, outputs: list[Output]) -> HttpResponse:
    return _derive(request, outputs, derived_jobs.vary)


def _upscale(request: HttpRequest, outputs: list[Output]) -> HttpResponse:
    return _derive(request, outputs, derived_jobs.upscale)


def _derive(request: HttpRequest, outputs: list[Output], derive: Callable[..., Job]) -> HttpResponse:
    """Create a job per image. A single one is shown; after several, the gallery is."""
    if not request.user.has_perm(SUBMIT_JOBS):
        raise PermissionDenied
    if len(outputs) > MAX_DERIVED:
        messages.error(request, _("Select at most %(limit)d images for new jobs.") % {"limit": MAX_DERIVED})
        return _back(request)
    jobs = []
    for output in outputs:
        try:
            jobs.append(derive(output, request.user, request.META.get("REMOTE_ADDR", "")))
        except Refused as refused:
            messages.error(request, f"{str(output.job_id)[:8]} #{output.index}: {refused.message}")
    if jobs:
        messages.success(request, _("New jobs: %d") % len(jobs))
    if len(outputs) == 1 and jobs:
        return HttpResponseRedirect(reverse("admin:jobs_job_change", args=[jobs[0].pk]))
    return _back(request)


def _back(request: HttpRequest) -> HttpResponse:
    """To the page that the action was sent from. Scripts get an empty response."""
    if "application/json" in request.headers.get("Accept", ""):
        return HttpResponse(status=204)
    target = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()})
    return HttpResponseRedirect(target if is_ours else reverse("console:gallery"))


ACTIONS: dict[str, Callable[[HttpRequest, list[Output]], HttpResponseBase]] = {
    "download": _download,
    "remove": _remove,
    "favorite": _favorite,
    "unfavorite": _unfavorite,
    "vary": _vary,
    "upscale": _upscale,
}
