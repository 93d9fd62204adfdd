"""Lists of models, samplers and schedulers."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from access.models import AccessKey, BusinessSource
from dialects.native.authentication import DIALECT
from dialects.native.request.json_body import PlainText
from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from gpu_runner.protocol.families.family import Family
from jobs.admission.model_choice.defaults import of_checkpoint
from jobs.errors import UnknownModel
from models_registry.errors import ModelNotFound
from models_registry.family_facts import family_facts
from models_registry.models import Family as FamilyName
from models_registry.models import Kind, ModelFile
from models_registry.selectors import list_for, resolve

from .schemas import ModelList, ModelView, SamplerList, SamplerView, SchedulerList, SchedulerView

MAX_METADATA_LENGTH = 500  # characters of a value; some trainers store whole tag lists


class ModelQuery(BaseModel):
    """Query parameters of the list of models."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind | None = None
    family: FamilyName | None = None
    name: PlainText | None = Field(
        default=None, max_length=255, description="A part of the name, ignoring case."
    )


def models(source: BusinessSource, query: ModelQuery, key: AccessKey | None = None) -> ModelList:
    """Models that the source may use."""
    kinds = [query.kind] if query.kind else [kind for kind in Kind if kind != Kind.UNKNOWN]
    files = [file for kind in kinds for file in _of_kind(kind, source, query)]
    return ModelList(items=[_model(file, source, key) for file in files])


def _of_kind(kind: Kind, source: BusinessSource, query: ModelQuery) -> Any:
    files = list_for(kind, source, dialect=DIALECT).order_by("name")
    if query.family:
        files = files.filter(family=query.family)
    return files.filter(name__icontains=query.name) if query.name else files


def _model(file: ModelFile, source: BusinessSource, key: AccessKey | None) -> ModelView:
    fields = (
        *("kind", "name", "family", "sha256", "size_bytes", "is_default", "cost_multiplier"),
        *(
            "description",
            "author",
            "base",
            "tags",
            "licence",
            "commercial_use",
            "version_of",
            "prompt_prefix",
        ),
    )
    trigger_words = [word.strip() for word in file.trigger_words.split(",")]
    return ModelView(
        trigger_words=[word for word in trigger_words if word],
        defaults=of_checkpoint(file, source, key).fields() if file.kind == Kind.CHECKPOINT else {},
        metadata={name: _truncated(value) for name, value in file.metadata.items()},
        **{name: getattr(file, name) for name in fields},
    )


def _truncated(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:MAX_METADATA_LENGTH]


class MenuQuery(BaseModel):
    """Query parameters of the lists of samplers and schedulers."""

    model_config = ConfigDict(extra="forbid")

    checkpoint: PlainText | None = Field(
        default=None, max_length=255, description="A checkpoint: only what works with its family."
    )


def family_of_menu(source: BusinessSource, query: MenuQuery) -> Family | None:
    """Facts of the family of the checkpoint; None without one, or if its family is not known. Raises UnknownModel."""
    if query.checkpoint is None:
        return None
    try:
        return family_facts(resolve(Kind.CHECKPOINT, query.checkpoint, source))
    except ModelNotFound as error:
        raise UnknownModel(str(error), field="checkpoint") from error


def samplers(family: Family | None = None) -> SamplerList:
    return SamplerList(
        items=[
            SamplerView(
                name=sampler.name,
                automatic_scheduler=sampler.automatic,
                second_order=sampler.second_order,
                default_eta=sampler.default_eta,
            )
            for sampler in sampler_catalog.SAMPLERS
            if family is None or family.allows_sampler(sampler.name)
        ]
    )


def schedulers(family: Family | None = None) -> SchedulerList:
    return SchedulerList(
        items=[
            SchedulerView(name=scheduler.label)
            for scheduler in sampler_catalog.SCHEDULERS
            if family is None or family.allows_scheduler(scheduler.label)
        ]
    )
