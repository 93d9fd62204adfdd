"""The job and its life, its pictures, and the runners that draw them. Django looks for an app's models here."""

from .archive import ArchivedJob, JobInput
from .callback import Callback, CallbackAttempt
from .idempotency_key import IdempotencyKey
from .images import InputPicture, Output, OutputKind, Preview
from .job import ACTIVE, TERMINAL, TRANSITIONS, Job, Lane, Signal, State, Transition, request_as_json
from .model_sample import ModelSample
from .runner import Backend, Runner
from .storage_target import StorageTarget
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
