"""Webhooks of a finished job, of a training and of a loaded model."""

from __future__ import annotations

from typing import Any

from dialects.stablediffusionapi.errors import message_fields
from dialects.stablediffusionapi.training.states import log_of, state_of
from jobs.models import Backend, IntakeState, State
from jobs.models.callback import Callback
from jobs.outbound.callbacks.policies import CallbackPolicy, by_status

from .response.job import job_response
from .response.numeric_ids import number_of


def body(callback: Callback) -> dict[str, Any]:
    """Body of the webhook: the response of the job, with its id and the client's track_id."""
    job = callback.job
    if job.backend == Backend.TRAINING:
        return training_body(callback)
    content = job_response(job, callback.base_url) | {"track_id": callback.extra["track_id"]}
    return content if job.state == State.SUCCEEDED else content | {"id": number_of(job)}


def training_body(callback: Callback) -> dict[str, Any]:
    """Body of the webhook of a training that has ended, with its last state."""
    training = callback.job.training
    state = state_of(training)
    return {
        "status": "success" if callback.job.state == State.SUCCEEDED else "failed",
        **message_fields(state),
        "training_status": state,
        "logs": log_of(training),
        "model_id": callback.job.external_id,
        "training_id": callback.job.external_id,
        "track_id": callback.extra["track_id"],
    }


def intake_body(callback: Callback) -> dict[str, Any]:
    """Body of the webhook of a loaded model, with the members of the vendor's training webhook."""
    intake = callback.subject
    ready = intake.state == IntakeState.READY
    text = "Model loaded successfully" if ready else intake.error
    return {
        "status": "success" if ready else "failed",
        **message_fields("model_ready" if ready else text),
        "training_status": "model_ready" if ready else "failed",
        "logs": text,
        "id": str(intake.pk),
        "model_id": intake.name,
        "track_id": callback.extra["track_id"],
    }


POLICY = CallbackPolicy(
    body=body,
    acknowledged=by_status,
    waits_s=(10, 60),
    max_attempts=3,
    timeout_s=30.0,
    intake_body=intake_body,
)
