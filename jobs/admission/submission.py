"""What a dialect hands to admission."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from access.models import AccessKey, BusinessSource
from gpu_runner.protocol import MAX_SEED, GenerationRequest
from jobs.models import Backend, Job, Lane
from jobs.models.storage_target import StorageTarget
from jobs.outbound.callbacks.outbox import CallbackRequest
from models_registry.models import WorkflowTemplate

from .idempotency import Idempotency

PREVIEWS_FOR_OPS = (
    10  # steps between two, where a dialect's clients are shown none: ops watch jobs in the console
)


@dataclass(frozen=True)
class Submission:
    """What a dialect hands over. ``pictures`` are the bytes behind the request's input pictures, by SHA-256."""

    source: BusinessSource
    key: AccessKey | None
    dialect: str
    operation: str
    request: GenerationRequest
    received: dict[str, Any] = field(default_factory=dict)
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    lane: Lane = Lane.ASYNC
    external_id: str = ""
    id_may_repeat: bool = False  # the caller's id names the newest of its jobs, not the one and only
    idempotency: Idempotency | None = None
    callback: CallbackRequest | None = None
    backend: Backend = Backend.PIPELINE
    workflow: WorkflowTemplate | None = None  # chosen at admission
    styles: tuple[str, ...] = ()  # a req_key, or styles that the request names: ops may map them to workflows
    storage_target: StorageTarget | None = None
    repeats: Job | None = None  # the job that it is to be drawn again for
    note: str = ""  # what ops should know of how the request was read; the first line of the job's timeline


def random_seed() -> int:
    return secrets.randbelow(MAX_SEED + 1)
