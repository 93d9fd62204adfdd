"""Scan of the models folder from the lists of model files: the button that starts it, and its progress."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_q.tasks import async_task

from console.admin_base.base import ConsoleAdmin
from models_registry.models import ScanRun

from .permissions import check, may

OUTCOMES = {
    "added": gettext_lazy("added"),
    "changed": gettext_lazy("changed"),
    "renamed": gettext_lazy("renamed"),
    "returned": gettext_lazy("found again"),
    "missing": gettext_lazy("missing"),
    "unchanged": gettext_lazy("unchanged"),
    "problems": gettext_lazy("with problems"),
    "skipped": gettext_lazy("skipped"),
}


class ScanMixin(ConsoleAdmin):
    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_scan"
        view = self.admin_site.admin_view
        return [
            path("scan/", view(self.scan_now), name=name),
            path("scan/progress/", view(self.scan_progress), name=f"{name}_progress"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        context = {"may_scan": may(request, self, "change"), "scan": ScanRun.newest()}
        return super().changelist_view(request, {**(extra_context or {}), **context})

    def scan_now(self, request: HttpRequest) -> HttpResponseRedirect:
        """Queue a scan, unless one is queued or running."""
        check(request, self, "change")
        newest = ScanRun.newest()
        if newest and newest.is_under_way:
            self.message_user(request, _("A scan is already running."))
        else:
            run = ScanRun.objects.create()
            async_task("models_registry.tasks.scan", run.pk, task_name="scan_models")
            self.message_user(request, _("A scan is queued; it runs in the background."))
        return HttpResponseRedirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"))

    def scan_progress(self, request: HttpRequest) -> JsonResponse:
        check(request, self, "view", "GET")
        return JsonResponse(scan_status(ScanRun.newest()))


def scan_status(run: ScanRun | None) -> dict[str, Any]:
    """Progress of the newest scan, as JSON-serializable values."""
    if run is None:
        return {"under_way": False, "text": ""}
    return {
        "under_way": run.is_under_way,
        "done": run.files_done,
        "files": run.files,
        "text": _status_text(run),
    }


def _status_text(run: ScanRun) -> str:
    if run.failed:
        return _("The last scan failed: %(why)s") % {"why": run.summary}
    if run.finished_at is not None:
        return _("Last scan: %(summary)s") % {"summary": _outcome(run.summary)}
    if not run.is_under_way:
        return _("The last scan was interrupted.")
    if run.started_at is None:
        return _("The scan is waiting for the background cluster.")
    progress = {"done": run.files_done, "files": run.files, "path": run.current}
    return _("Scanning: %(done)d of %(files)d files. %(path)s") % progress


def _outcome(summary: str) -> str:
    # Translated here, because the background cluster writes the summary without knowing the user's language.
    counted = [part.rpartition(" ") for part in summary.split(", ")]
    if not all(name in OUTCOMES for name, _space, _number in counted):
        return _("no files")
    return ", ".join(f"{OUTCOMES[name]} {number}" for name, _space, number in counted)
