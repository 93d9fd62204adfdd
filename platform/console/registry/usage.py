"""Where a model file is used, and which runners have it in memory."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field

from django.db.models import Q

from jobs.models import Job, Runner
from models_registry.models import ModelFile, StylePreset, WorkflowTemplate

LATELY = (
    1000  # jobs that are looked through: the newest ones, so that the page is as fast beside a million others
)


@dataclass(frozen=True)
class Use:
    presets: list[StylePreset] = field(default_factory=list)
    workflows: list[WorkflowTemplate] = field(default_factory=list)
    jobs: list[tuple[str, int]] = field(
        default_factory=list
    )  # sources' names, and how many of their newest jobs
    looked_at: int = 0

    @property
    def job_count(self) -> int:
        return sum(count for _source, count in self.jobs)


def use_of(file: ModelFile) -> Use:
    jobs, looked_at = _jobs(file)
    return Use(list(_presets(file)), _workflows(file), jobs, looked_at)


def warm_on(files: list[ModelFile]) -> dict[int, list[str]]:
    """Names of the runners that hold each file, by its key."""
    holders: dict[str, list[str]] = {}
    for name, loaded in Runner.objects.filter(enabled=True).values_list("name", "loaded"):
        for sha256 in loaded:
            holders.setdefault(sha256, []).append(name)
    return {file.pk: holders[file.sha256] for file in files if file.sha256 in holders}


def _presets(file: ModelFile) -> list[StylePreset]:
    either = Q(checkpoint=file) | Q(vae=file) | Q(control_model=file) | Q(loras__lora=file)
    return list(StylePreset.objects.filter(either).distinct())


def _workflows(file: ModelFile) -> list[WorkflowTemplate]:
    """ComfyUI's graphs name files below the folder of their kind. Templates are few."""
    name = json.dumps(file.path_in_kind)
    return [template for template in WorkflowTemplate.objects.all() if name in json.dumps(template.graph)]


def _jobs(file: ModelFile) -> tuple[list[tuple[str, int]], int]:
    newest = Job.objects.order_by("-created_at").values_list("checkpoint_id", "files", "source__name")[
        :LATELY
    ]
    counts: Counter[str] = Counter()
    for checkpoint_id, files, source in newest:
        others = {kept["path"] for kept in files.values()}
        if checkpoint_id == file.pk or file.path in others:
            counts[source] += 1
    return counts.most_common(), len(newest)
