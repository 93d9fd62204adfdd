"""Where a model file is used and by whom, how long it takes to load, and which runners have it loaded."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from access.models import BusinessSource
from access.tenancy import visible_sources
from jobs.models import Job, Output, OutputKind, Runner, Training
from models_registry.models import Kind, ModelFile, StylePreset, WorkflowTemplate

PERIOD = timedelta(days=30)
# At most so many jobs are read, so that the page stays fast with a million: those of a checkpoint from the index on
# (checkpoint, created_at); those of other files are found among the newest jobs, because no index has their names.
MAX_COUNTED_JOBS = 20_000
MAX_EXAMINED_JOBS = 1000
MAX_IMAGES = 8


@dataclass(frozen=True)
class ModelUsage:
    """Style presets, workflow templates, jobs of the last 30 days and newest images that use a model file."""

    presets: list[StylePreset] = field(default_factory=list)
    workflows: list[WorkflowTemplate] = field(default_factory=list)
    jobs: list[tuple[str, int]] = field(default_factory=list)  # name of a source, number of its jobs
    examined_jobs: int = 0  # of which the jobs were found; 0: all
    is_partial: bool = False  # there are more jobs
    images: list[Output] = field(default_factory=list)

    @property
    def job_count(self) -> int:
        return sum(count for _source, count in self.jobs)


def usage_of(file: ModelFile, *, with_images: bool = False) -> ModelUsage:
    used = _jobs_of_checkpoint(file) if file.kind == Kind.CHECKPOINT else _newest_jobs(file)
    images = _images(used.pop("newest")) if with_images else []
    used.pop("newest", None)
    return ModelUsage(list(_presets(file)), _workflows(file), images=images, **used)


def runners_with_loaded(files: list[ModelFile]) -> dict[int, list[str]]:
    """Names of the enabled runners that have each file in memory, by primary key of the file."""
    runners: dict[str, list[str]] = {}
    for name, loaded in Runner.objects.filter(enabled=True).values_list("name", "loaded"):
        for sha256 in loaded:
            runners.setdefault(sha256, []).append(name)
    return {file.pk: runners[file.sha256] for file in files if file.sha256 in runners}


def load_times(file: ModelFile) -> list[tuple[str, float]]:
    """Names of runners, and the seconds for which the file's last load took each of them."""
    runners = Runner.objects.order_by("name").values_list("name", "load_seconds")
    return [(name, times[file.sha256]) for name, times in runners if file.sha256 and file.sha256 in times]


def versions_of(file: ModelFile) -> list[ModelFile]:
    """The other versions of the same model."""
    if not file.version_of:
        return []
    others = ModelFile.objects.filter(kind=file.kind, version_of=file.version_of).exclude(pk=file.pk)
    return list(others.defer("metadata").order_by("name"))


def _presets(file: ModelFile) -> list[StylePreset]:
    either = Q(checkpoint=file) | Q(vae=file) | Q(control_model=file) | Q(loras__lora=file)
    return list(StylePreset.objects.filter(either).distinct())


def _workflows(file: ModelFile) -> list[WorkflowTemplate]:
    # A ComfyUI graph names a file by its path below the folder of its kind.
    name = json.dumps(file.path_in_kind)
    return [template for template in WorkflowTemplate.objects.all() if name in json.dumps(template.graph)]


def _jobs_of_checkpoint(file: ModelFile) -> dict[str, Any]:
    jobs = Job.objects.filter(checkpoint=file).order_by("-created_at")
    recent = jobs.filter(created_at__gte=timezone.now() - PERIOD)
    counts = Counter(recent.values_list("source", flat=True)[:MAX_COUNTED_JOBS])
    names = dict(BusinessSource.objects.filter(pk__in=counts).values_list("pk", "name"))
    found = [(names[pk], count) for pk, count in counts.most_common()]
    newest = list(jobs.values_list("pk", flat=True)[:MAX_IMAGES])
    return {"jobs": found, "is_partial": sum(counts.values()) == MAX_COUNTED_JOBS, "newest": newest}


def _newest_jobs(file: ModelFile) -> dict[str, Any]:
    columns = ("pk", "files", "source__name", "created_at")
    examined = list(Job.objects.order_by("-created_at").values_list(*columns)[:MAX_EXAMINED_JOBS])
    using = [row for row in examined if any(entry["path"] == file.path for entry in row[1].values())]
    since = timezone.now() - PERIOD
    counts = Counter(source for _pk, _files, source, created in using if created >= since)
    newest = [pk for pk, *_rest in using[:MAX_IMAGES]]
    return {"jobs": counts.most_common(), "examined_jobs": len(examined), "newest": newest}


def _images(jobs: list[Any]) -> list[Output]:
    """The first image of each of the jobs, the newest job first."""
    outputs = Output.objects.filter(job__in=jobs, kind=OutputKind.IMAGE, index=0).exclude(nsfw=True)
    return list(outputs.select_related("job").order_by("-job__created_at"))


def training_of(file: ModelFile, user: Any) -> Training | None:
    """The training whose result the file is, if the user may see it."""
    sources = visible_sources(user)
    trainings = Training.objects.filter(file=file)
    return (trainings if sources is None else trainings.filter(job__source__in=sources)).first()
