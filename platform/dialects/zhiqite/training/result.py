"""State and result of a training, for its query and its callback. The vendor's shape is not public. [R]"""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from access.models import AccessKey
from dialects.zhiqite.authentication import DIALECT
from dialects.zhiqite.errors import WireError
from dialects.zhiqite.response.listings import lora_names
from dialects.zhiqite.response.task_status import SUCCESS, description, status
from jobs.images.signed_urls import output_urls
from jobs.models import Job, State, Training
from jobs.scheduling.eta import progress_of
from jobs.training.file_downloads import download_note, file_url
from jobs.training.selectors import is_available, trainings_of


def find_training(key: AccessKey, task_id: str) -> Training:
    """The newest training of the id. Raises WireError if this key has none."""
    own = trainings_of(key.source).filter(job__dialect=DIALECT, job__key=key, job__external_id=task_id)
    training = own.first()
    if training is None:
        raise WireError.unknown_task()
    return training


def training_result(training: Training, base_url: str) -> dict[str, Any]:
    """``data`` of the query. The names are those of the row of queryLoraList, null unless the LoRA can be used."""
    job = training.job
    file = training.file if is_available(training) else None
    names = dict.fromkeys(("sdLoraName", "sdLoraFileName", "sdLoraFileSimplifyName", "modelTriggerWords"))
    samples = output_urls(job, base_url)
    return {
        "taskId": job.external_id,
        "status": status(job),
        "desc": _("The model was deleted.") if _is_deleted(job, file) else description(job),
        "progress": 1.0 if job.state == State.SUCCEEDED else round(progress_of(job), 4),
        "currentStep": job.step,
        "totalStep": job.steps,
        "loss": training.losses[-1][1] if training.losses else None,
        "expiresAt": file.expires_at.isoformat() if file and file.expires_at else None,
        "modelUrl": file_url(training, base_url),
        "modelUrlNote": download_note(training),
        "sampleImageUrl": samples[0] if samples else None,
        **(names if file is None else lora_names(file)),
    }


def _is_deleted(job: Job, file: object) -> bool:
    return status(job) == SUCCESS and file is None
