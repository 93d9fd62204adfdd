"""A training request of the vendor as a training of this platform."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from access.models import AccessKey
from dialects.zhiqite.authentication import DIALECT
from dialects.zhiqite.errors import WireError
from jobs.errors import Refused
from jobs.images.fetch import ImageFetcher
from jobs.outbound.callbacks.outbox import CallbackRequest
from jobs.training.dataset import BadDataset, DatasetFile, FileProblem
from jobs.training.submission import TrainingRequest

from .fields import SCHEDULES, SubmitTraining

OPERATION = "modelTraining/submitTraining/Job"
# Field of the training -> field of the vendor's body, for error messages.
WIRE_NAMES: Mapping[str, str] = {
    "name": "taskId",
    "images": "fileUrlList",
    "base": "pretrainedModel",
    "checkpoint": "pretrainedModel",
    "steps": "maxEpochs * repeats",
    "epochs": "maxEpochs * repeats",
    "batch_size": "batchSize * gradientAccumulationSteps",
    "learning_rate": "unetLr",
    "text_encoder_learning_rate": "textEncoderLr",
    "warmup_steps": "lrWarmupSteps",
    "rank": "networkDim",
    "alpha": "networkAlpha",
    "trigger": "triggerWords",
    "prompt": "triggerWords",
    "clip_skip": "clipSkip",
    "callback": "callbackUrl",
}


def read_training(key: AccessKey, body: SubmitTraining, base_url: str) -> TrainingRequest:
    """The training that a body asks for. The LoRA's name is the task id. Raises WireError or Refused."""
    return TrainingRequest(
        source=key.source,
        key=key,
        dialect=DIALECT,
        operation=OPERATION,
        external_id=body.taskId,
        id_may_repeat=True,
        name=body.taskId,
        files=list(_files(key, body.fileUrlList, base_url)),
        base=body.pretrainedModel,
        trigger=body.triggerWords or body.taskId,
        resolution=body.resolution,
        epochs=body.maxEpochs * body.repeats,
        seed=None if body.seed == -1 else body.seed,
        clip_skip=body.clipSkip,
        settings=_settings(body),
        received=body.received(),
        callback=CallbackRequest(body.callbackUrl, base_url=base_url) if body.callbackUrl else None,
    )


def note(body: SubmitTraining) -> str | None:
    """What the response says about fields that have no effect."""
    if not body.without_effect:
        return None
    return _("no effect: %(fields)s") % {"fields": ", ".join(body.without_effect)}


def _settings(body: SubmitTraining) -> dict[str, Any]:
    return {
        # Accumulated gradients are those of the larger batch.
        "batch_size": body.batchSize * body.gradientAccumulationSteps,
        "learning_rate": body.learningRate if body.unetLr is None else body.unetLr,
        "text_encoder_learning_rate": body.textEncoderLr,
        "schedule": SCHEDULES[body.lrScheduler],
        "warmup_steps": body.lrWarmupSteps,
        "rank": body.networkDim,
        "alpha": body.networkDim if body.networkAlpha is None else body.networkAlpha,
        "flip": body.flipAug,
    }


def _files(key: AccessKey, urls: tuple[str, ...], base_url: str) -> Iterator[DatasetFile]:
    """The images, downloaded. Raises WireError, or BadDataset with all that cannot be read."""
    if not settings.INPUT_URLS:
        raise WireError(_("Image URLs are disabled on this server."))
    fetch = ImageFetcher(key.source, base_url, max_images=len(urls))
    problems = []
    for number, url in enumerate(urls):
        name = f"fileUrlList.{number}"
        try:
            yield DatasetFile(name, fetch(url))
        except Refused as refused:
            problems.append(FileProblem(name, refused.message))
    if problems:
        raise BadDataset(problems)
