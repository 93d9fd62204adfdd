"""Pages of the gallery: images of the newest job first, by keyset. The work for a page does not depend on the table's size.

A page is read from a window of the newest jobs after its start. If filters without an index leave too few images in the
largest window, the page is shorter, and the next one continues where the window ends.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import BadRequest
from django.db.models import Exists, OuterRef, Q, QuerySet

from console.admin_base.keyset_pagination import Cursor, end_of_window
from jobs.models import Job, Output

from .filters import GalleryFilters

PAGE_SIZE = 48
WINDOWS = (250, 5000)  # numbers of jobs; the second is only read if the first has too few images
ALL_OF_JOB = 2**31 - 1  # index after the last image of a job


@dataclass(frozen=True)
class Position:
    """The image after which a page begins: its job, and its index in the job."""

    job: Cursor
    index: int

    @classmethod
    def of(cls, output: Output) -> Position:
        return cls(Cursor.of(output.job), output.index)

    @classmethod
    def read(cls, text: str) -> Position:
        """Raises BadRequest."""
        job, _separator, index = text.rpartition("_")
        try:
            position = cls(Cursor.read(job, Job), int(index))
        except Exception as error:
            raise BadRequest(f"invalid position: {text[:100]!r}") from error
        if not 0 <= position.index <= ALL_OF_JOB:
            raise BadRequest(f"invalid position: {text[:100]!r}")
        return position

    def __str__(self) -> str:
        return f"{self.job}_{self.index}"

    def jobs(self, jobs: QuerySet[Job]) -> QuerySet[Job]:
        """The position's job and older ones."""
        # The last condition is redundant; it lets the database start at the right index entry.
        from_here = self.job.older | Q(created_at=self.job.at, pk=self.job.pk)
        return jobs.filter(from_here, created_at__lte=self.job.at)

    def outputs(self, outputs: QuerySet[Output]) -> QuerySet[Output]:
        """Without the images of the position's job up to the position."""
        return outputs.exclude(job=uuid.UUID(self.job.pk), index__lte=self.index)


@dataclass(frozen=True)
class Page:
    outputs: list[Output]
    older: Position | None = None  # of the next page; None: this is the last one
    is_cut: bool = False  # the window ended before the page was full
    is_first: bool = True

    @property
    def searched_until(self) -> Any:
        return self.older.job.at if self.older and self.is_cut else None


def page_of(filters: GalleryFilters, after: Position | None) -> Page:
    """The page after a position; None: the first one."""
    jobs = filters.jobs()
    if not filters.is_valid():
        return Page([])
    outputs = filters.outputs()
    if after is not None:
        jobs, outputs = after.jobs(jobs), after.outputs(outputs)
    found: list[Output] = []
    end: Cursor | None = None
    for size in WINDOWS:
        end = end_of_window(jobs, size)
        window = jobs if end is None else jobs.filter(created_at__gte=end.at).exclude(end.older)
        found = _images(filters.narrowed(window), outputs)
        if len(found) > PAGE_SIZE or end is None:
            break
    if len(found) > PAGE_SIZE:
        return Page(found[:PAGE_SIZE], Position.of(found[PAGE_SIZE - 1]), is_first=after is None)
    older = None if end is None else Position(end, ALL_OF_JOB)
    return Page(found, older, is_cut=end is not None, is_first=after is None)


def _images(jobs: QuerySet[Job], outputs: QuerySet[Output]) -> list[Output]:
    """The first PAGE_SIZE + 1 images."""
    having_images = jobs.filter(Exists(outputs.filter(job=OuterRef("pk"))))
    newest = list(_newest(having_images).values_list("pk", flat=True)[: PAGE_SIZE + 1])
    rows = outputs.filter(job__in=newest).select_related("job", "job__source", "job__checkpoint")
    ordered = rows.order_by("-job__created_at", "-job__pk", "index")
    return list(
        ordered.only(
            *("index", "width", "height", "seed", "infotext", "nsfw", "content_type", "size_bytes", "sha256"),
            *("frames", "duration_s"),
            *("job__created_at", "job__dialect", "job__source__name", "job__source__title"),
            *("job__checkpoint__name", "job__request"),
        )[: PAGE_SIZE + 1]
    )


def _newest(jobs: QuerySet[Job]) -> QuerySet[Job]:
    return jobs.order_by("-created_at", "-pk")
