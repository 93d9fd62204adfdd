"""Progress of a scan, which runs in the background cluster and is shown in the console."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import ClassVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

SAVE_INTERVAL_S = 0.5


class ScanRun(models.Model):
    """One scan, from the request to the result."""

    # A scan without progress for this time counts as failed: its process was killed.
    TIMEOUT: ClassVar[timedelta] = timedelta(minutes=20)

    asked_at = models.DateTimeField(_("requested"), auto_now_add=True)
    started_at = models.DateTimeField(_("started"), null=True)
    moved_at = models.DateTimeField(_("last progress"), auto_now=True)
    finished_at = models.DateTimeField(_("finished"), null=True)
    files = models.PositiveIntegerField(_("files"), default=0)
    files_done = models.PositiveIntegerField(_("files done"), default=0)
    current = models.CharField(_("current file"), max_length=500, blank=True)
    summary = models.CharField(_("outcome"), max_length=500, blank=True)
    failed = models.BooleanField(_("failed"), default=False)

    class Meta:
        verbose_name = _("scan")
        verbose_name_plural = _("scans")
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.summary or self.current or str(self.pk)

    @property
    def is_under_way(self) -> bool:
        """Whether the scan is queued or running."""
        return self.finished_at is None and self.moved_at > timezone.now() - self.TIMEOUT

    @classmethod
    def newest(cls) -> ScanRun | None:
        return cls.objects.first()

    def begin(self, files: int) -> None:
        self.started_at, self.files, self.files_done = timezone.now(), files, 0
        self._written_at = time.monotonic()
        self.save()

    def at(self, path: str, done: int) -> None:
        """Record the current file and the number of finished files. Saved at most every SAVE_INTERVAL_S seconds."""
        self.current, self.files_done = path[:500], done
        if time.monotonic() - self._written_at >= SAVE_INTERVAL_S:
            self._written_at = time.monotonic()
            self.save(update_fields=["current", "files_done", "moved_at"])

    def end(self, summary: str, *, failed: bool = False) -> None:
        self.finished_at, self.current = timezone.now(), ""
        self.files_done = self.files_done if failed else self.files
        self.summary, self.failed = summary[:500], failed
        self.save()
