"""Registers the file of a training for the source of its job alone.

The row is created, disabled and for this source, before the file has its name: a concurrent scan would register the file
for all sources. It is enabled in the transaction in which the job succeeds. A file is removed before its row, for the same
reason.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import ProtectedError
from django.utils import timezone
from django.utils.translation import gettext as _

from jobs.errors import LeaseLost
from jobs.models import Job, State
from jobs.models.training import Training
from models_registry.models import FOLDERS, Kind, ModelFile
from models_registry.scanning import install_file
from models_registry.scanning.inspect_file import FileInfo

CARD = ("description", "base", "licence", "commercial_use", "trigger_words")


def install(job: Job, part: Path) -> ModelFile:
    """Inspect the file of a running attempt, and register it disabled. Raises InstallError or LeaseLost."""
    info = install_file.inspected(part, Kind.LORA)
    row = _reserve(job, info)
    install_file.create_folder(Path(row.path).parent)
    with transaction.atomic():
        # While the row is locked, no later attempt can release it.
        if not ModelFile.objects.select_for_update().filter(pk=row.pk).exists():
            raise LeaseLost(str(job.pk))
        file = install_file.place(part, row.path, info)
        _fill_card(file, job)
    return file


def publish(job: Job) -> None:
    """Enable the file of a job, in the transaction in which it succeeds."""
    training = Training.objects.select_related("job__source").get(job=job.pk)
    wanted = (training.keep_days, training.job.source.trained_models_days)
    days = [number for number in wanted if number is not None]
    expires_at = timezone.now() + timedelta(days=min(days)) if days else None
    own = ModelFile.objects.filter(trainings=training, missing_since=None, problem="")
    if not own.update(enabled=True, expires_at=expires_at):
        raise RuntimeError("a training cannot succeed without its file")


def release(job_id: uuid.UUID) -> None:
    """Remove the file of a job that has not succeeded, and its row."""
    with transaction.atomic():
        rows = ModelFile.objects.select_for_update().filter(
            pk__in=Training.objects.filter(job=job_id).exclude(job__state=State.SUCCEEDED).values("file"),
            enabled=False,
        )
        for row in list(rows):
            _remove(row)


def delete(file: ModelFile) -> None:
    """Delete a result and its file. A row that something else refers to stays, disabled."""
    with transaction.atomic():
        row = ModelFile.objects.select_for_update().filter(pk=file.pk).first()
        if row is not None:
            _remove(row)


def _remove(row: ModelFile) -> None:
    (settings.MODELS_ROOT / row.path).unlink(missing_ok=True)
    try:
        with transaction.atomic():
            row.delete()
    except ProtectedError:
        changes = {"enabled": False, "is_default": False, "missing_since": timezone.now()}
        ModelFile.objects.filter(pk=row.pk).update(**changes)


def _reserve(job: Job, info: FileInfo) -> ModelFile:
    release(job.pk)  # of an attempt that ended between registration and success
    name = job.training.name
    row = ModelFile(kind=Kind.LORA, family=info.family, enabled=False, missing_since=timezone.now())
    row.path = f"{FOLDERS[Kind.LORA]}/{job.source.name}/{name}-{job.pk.hex[:8]}-{job.attempt}.safetensors"
    with transaction.atomic():
        held = Job.objects.select_for_update().filter(pk=job.pk, state=State.RUNNING, attempt=job.attempt)
        if not held.exists():
            raise LeaseLost(str(job.pk))
        row.name = _free_name(job, name)
        row.aliases = [name] if name != row.name else []
        row.save()
        row.allowed_sources.add(job.source)
        Training.objects.filter(job=job.pk).update(file=row)
    return row


def _free_name(job: Job, name: str) -> str:
    """The requested name; if a file of another source has it, one with the name of this source."""
    taken = ModelFile.objects.filter(kind=Kind.LORA, name=name).exists()
    return f"{job.source.name}/{name}" if taken else name


def _fill_card(file: ModelFile, job: Job) -> None:
    base, training = job.checkpoint, job.generation_request.training
    assert base is not None
    assert training is not None
    file.description = job.training.description
    file.base = base.name[:200]
    file.licence = licence_of(base)
    file.commercial_use = base.commercial_use
    file.trigger_words = training.trigger[:500]
    file.mark_edited(CARD)
    file.save(update_fields=[*CARD, "edited_fields"])


def licence_of(base: ModelFile) -> str:
    """License of a LoRA that was trained from this checkpoint."""
    words = {"base": base.name[:100], "licence": base.licence or _("unknown license")}
    return (_("trained here from %(base)s (%(licence)s)") % words)[:200]
