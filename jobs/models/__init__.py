"""The job and its life, its pictures, and the runners that draw them. Django looks for an app's models here."""

from jobs.callbacks.models import Callback, CallbackAttempt
from jobs.idempotency import IdempotencyKey
from jobs.retention.models import ArchivedJob, JobInput
from jobs.samples.models import ModelSample
from jobs.storage_targets.models import StorageTarget

from .job import ACTIVE, TERMINAL, TRANSITIONS, Job, Lane, Signal, State, Transition, request_as_json
from .pictures import InputPicture, Output, OutputKind, Preview
from .runner import Backend, Runner
from .usage import Usage

__all__ = [
    "ACTIVE",
    "TERMINAL",
    "TRANSITIONS",
    "ArchivedJob",
    "Backend",
    "Callback",
    "CallbackAttempt",
    "IdempotencyKey",
    "InputPicture",
    "Job",
    "JobInput",
    "Lane",
    "ModelSample",
    "Output",
    "OutputKind",
    "Preview",
    "Runner",
    "Signal",
    "State",
    "StorageTarget",
    "Transition",
    "Usage",
    "request_as_json",
]
