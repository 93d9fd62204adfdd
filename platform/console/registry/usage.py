"""Where a model file is used, and which runners have it loaded."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field

from django.db.models import Q

from jobs.models import Job, Runner
from models_registry.models import ModelFile, StylePreset, WorkflowTemplate

MAX_EXAMINED_JOBS = 1000  # only the newest jobs are read, so that the page stays fast with a million jobs


@dataclass(frozen=True)
class ModelUsage:
    """Style presets, workflow templates and recent jobs that use a model file."""

    presets: list[StylePreset] = field(default_factory=list)
    workflows: list[WorkflowTemplate] = field(default_factory=list)
    jobs: list[tuple[str, int]] = field(default_factory=list)  # name of a source, number of its recent jobs
    examined_jobs: int = 0

    @property
    def job_count(self) -> int:
        return sum(count for _source, count in self.jobs)


def usage_of(file: ModelFile) -> ModelUsage:
    jobs, examined_jobs = _jobs(file)
    return ModelUsage(list(_presets(file)), _workflows(file), jobs, examined_jobs)


def runners_with_loaded(files: list[ModelFile]) -> dict[int, list[str]]:
    """Names of the enabled runners that have each file in memory, by primary key of the file."""
    runners: dict[str, list[str]] = {}
    for name, loaded in Runner.objects.filter(enabled=True).values_list("name", "loaded"):
        for sha256 in loaded:
            runners.setdefault(sha256, []).append(name)
    return {file.pk: runners[file.sha256] for file in files if file.sha256 in runners}


def _presets(file: ModelFile) -> list[StylePreset]:
    either = Q(checkpoint=file) | Q(vae=file) | Q(control_model=file) | Q(loras__lora=file)
    return list(StylePreset.objects.filter(either).distinct())


def _workflows(file: ModelFile) -> list[WorkflowTemplate]:
    # A ComfyUI graph names a file by its path below the folder of its kind.
    name = json.dumps(file.path_in_kind)
    return [template for template in WorkflowTemplate.objects.all() if name in json.dumps(template.graph)]


def _jobs(file: ModelFile) -> tuple[list[tuple[str, int]], int]:
    columns = ("checkpoint_id", "files", "source__name")
    newest = Job.objects.order_by("-created_at").values_list(*columns)[:MAX_EXAMINED_JOBS]
    counts: Counter[str] = Counter()
    for checkpoint_id, files, source in newest:
        other_paths = {entry["path"] for entry in files.values()}
        if checkpoint_id == file.pk or file.path in other_paths:
            counts[source] += 1
    return counts.most_common(), len(newest)
