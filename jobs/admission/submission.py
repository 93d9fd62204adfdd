"""Submission: the input of admission, built by a dialect from an API request."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from access.models import AccessKey, BusinessSource
from access.source_settings.prompt_modes import PromptMode
from gpu_runner.protocol import GenerationRequest, ModelName
from jobs.models import Backend, Job, Lane, Reproduction, Training
from jobs.models.storage_target import StorageTarget
from jobs.outbound.callbacks.outbox import CallbackRequest
from models_registry.models import ModelFile, WorkflowTemplate

from .idempotency import Idempotency

# Steps between previews in dialects without previews for clients: operators watch jobs in the console.
PREVIEWS_FOR_OPS = 10


@dataclass(frozen=True)
class Submission:
    """A parsed request with its metadata. ``input_files`` maps the SHA-256 of each input image to its bytes."""

    source: BusinessSource
    key: AccessKey | None
    dialect: str
    operation: str
    request: GenerationRequest
    received: dict[str, Any] = field(default_factory=dict)
    input_files: Mapping[str, bytes] = field(default_factory=dict)
    lane: Lane = Lane.ASYNC
    external_id: str = ""
    id_may_repeat: bool = False  # several jobs may have this external_id; it refers to the newest
    end_user: str = ""  # the client's id of the person on whose behalf it sends the request
    idempotency: Idempotency | None = None
    callback: CallbackRequest | None = None
    backend: Backend = Backend.PIPELINE
    workflow: WorkflowTemplate | None = None  # chosen at admission
    model: str = ""  # the name that the client sent, for rules by model; empty: that of the request
    edits: bool = False  # its prompt says what to change in its image; rules may have the purpose "edit"
    # Several init images belong together, if the workflow template takes several; else each has an output of its own.
    init_images_belong_together: bool = False
    styles: tuple[str, ...] = ()  # req_key or style names; operators can map them to workflows
    storage_target: StorageTarget | None = None
    repeats: Job | None = None  # the job of which this is a retry or rerun
    prompt_mode: PromptMode | None = (
        None  # what the text model does with the prompts; None: the source's setting
    )
    prompt_mode_required: bool = True  # refuse the request if the text model cannot do that
    rewriting: dict[str, Any] = field(default_factory=dict)  # of the job: see Job.rewriting
    # Of a reproduction: the files of all models that the request names. Nothing is looked up or filled in by default.
    files: Mapping[ModelName, ModelFile] | None = None
    reproduction: Reproduction | None = None  # to insert with the job
    training: Training | None = None  # of a training: to insert with the job
    ignored_fields: tuple[str, ...] = ()  # of the request, which the workflow template ignores; for operators
    note: str = ""  # how the request was interpreted, for operators; note of the first transition


def random_seed() -> int:
    """Return a random seed of 32 bits, which every JSON client can represent."""
    return secrets.randbelow(2**32)
