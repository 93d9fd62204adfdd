"""The vendor's states of a training, and what they are here.

A trainer saves, receives and enables the file within moments, so that the three states of its compression and upload are
not seen outside of the sandbox.
"""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from jobs.models import Job, State, Training
from jobs.training.selectors import is_available

DEPLOYING_GPU, STARTED, TRAINED = "deploying_gpu", "training_started", "training_success"
COMPRESSING, UPLOADING = "trained_model_compressing", "trained_model_uploading"
UPLOADED, DEPLOYING_MODEL, READY = "trained_model_uploaded", "deploying_model", "model_ready"
STATES = (DEPLOYING_GPU, STARTED, TRAINED, COMPRESSING, UPLOADING, UPLOADED, DEPLOYING_MODEL, READY)
CANCELLED, FAILED, DELETED = "training_cancelled", "training_failed", "model_deleted"
LOADED = "Model loaded successfully"


def steps_of(job: Job) -> int:
    training = job.generation_request.training
    return training.steps if training else 0


def state_of(training: Training) -> str:
    job = training.job
    match job.state:
        case State.QUEUED:
            return DEPLOYING_GPU
        case State.RUNNING:
            return STARTED if job.step < steps_of(job) else TRAINED
        case State.SUCCEEDED:
            return READY if is_available(training) else DELETED
        case State.CANCELLED:
            return CANCELLED
    return FAILED


def log_of(training: Training) -> str:
    """The vendor's log of a training, as text with one line per event."""
    job, steps = training.job, steps_of(training.job)
    lines = [_("Waiting for a trainer")] if job.state == State.QUEUED else []
    for step, loss in training.losses:
        words = {"step": step, "left": steps - step, "loss": loss}
        lines.append(_("Step:%(step)d, %(left)d steps to go, loss %(loss).4f") % words)
    match state_of(training):
        case "model_ready":
            lines.append(LOADED)
        case "training_failed":
            lines.append(job.error_message)
        case "training_cancelled":
            lines.append(_("The training was cancelled."))
        case "model_deleted":
            lines.append(_("The model was deleted."))
    return "\n".join(lines)


def row(training: Training) -> dict[str, Any]:
    """A training in the list, with the members of a row of the list of models."""
    settings, file = training.job.generation_request.training, training.file
    return {
        "model_id": file.name if file else training.job.external_id,
        "training_id": training.job.external_id,
        "status": state_of(training),
        "created_at": training.job.created_at.isoformat(),
        "expires_at": file.expires_at.isoformat() if file and file.expires_at else None,
        "instance_prompt": settings.trigger if settings else None,
        "model_name": training.name,
        "description": training.description,
        "screenshots": "",
    }
