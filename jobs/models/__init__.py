"""Django models of the jobs app: jobs, images, callbacks, runners."""

from .archive import ArchivedJob, JobInput
from .callback import Callback, CallbackAttempt
from .fingerprint import Fingerprint
from .idempotency_key import IdempotencyKey
from .images import InputPicture, Output, OutputKind, Preview
from .job import (
    ACTIVE,
    TERMINAL,
    TRANSITIONS,
    Job,
    Lane,
    Signal,
    State,
    Transition,
    findings_as_json,
    request_as_json,
)
from .model_intake import IntakeState, ModelIntake
from .model_sample import ModelSample
from .reproduction import Reproduction
from .runner import Backend, Runner
from .storage_target import StorageTarget
from .template_back_off import TemplateBackOff
from .training import Training
from .unlabeled import UnlabeledImages
from .usage import Usage

__all__ = [
    "ACTIVE",
    "TERMINAL",
    "TRANSITIONS",
    "ArchivedJob",
    "Backend",
    "Callback",
    "CallbackAttempt",
    "Fingerprint",
    "IdempotencyKey",
    "InputPicture",
    "IntakeState",
    "Job",
    "JobInput",
    "Lane",
    "ModelIntake",
    "ModelSample",
    "Output",
    "OutputKind",
    "Preview",
    "Reproduction",
    "Runner",
    "Signal",
    "State",
    "StorageTarget",
    "TemplateBackOff",
    "Training",
    "Transition",
    "UnlabeledImages",
    "Usage",
    "findings_as_json",
    "request_as_json",
]
