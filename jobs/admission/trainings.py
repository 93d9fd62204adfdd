"""Checks of trainings at admission: the name of the result, and the limits of source and key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from access.models import AccessKey, BusinessSource, NsfwPolicy
from gpu_runner.protocol import LoraTraining
from jobs.errors import OverLimit, QuotaSpent, Refused, Unsupported
from jobs.models import ACTIVE, Backend, Job, Runner, State, Training
from models_registry.errors import ModelNotFound
from models_registry.models import Kind
from models_registry.selectors import resolve

from .submission import Submission

# What the trainer cannot apply to its samples.
NSFW_MEASURES = (NsfwPolicy.BLUR, NsfwPolicy.BLANK, NsfwPolicy.REFUSE)

Holder = BusinessSource | AccessKey


class NameTaken(Refused):
    code = "model_exists"


def every(submission: Submission) -> Iterator[Refused]:
    """Yield the reasons to refuse a training that need no lock. Nothing for other tasks."""
    training, plan = submission.request.training, submission.training
    if training is None:
        return
    if plan is None:
        message = _("A training cannot be submitted here: send it to /api/v1/trainings.")
        yield Unsupported(message, field="task")
        return
    yield from _over_limits(submission.source, submission.source.name, training)
    if submission.key is not None:
        yield from _over_limits(submission.key, submission.key.key_id, training)
        if not submission.key.allows_model(Kind.LORA, plan.name):
            message = _("This key may not use the %(kind)s %(name)s.")
            words = {"kind": Kind.LORA.value, "name": plan.name}
            yield Unsupported(message % words, field="name", code="model_not_allowed")
    yield from _measures_on_samples(submission.source)
    yield from _name_taken(submission.source, plan.name)
    if not Runner.objects.filter(backend=Backend.TRAINING, enabled=True).exists():
        yield Unsupported(_("No trainer is registered on this platform."), field=None)


class StartedTrainings:
    """Numbers of trainings of this month: read once per transaction, then incremented in memory."""

    def __init__(self) -> None:
        self._added: Counter[tuple[str, int]] = Counter()

    def over_quota(self, job: Job) -> Iterator[Refused]:
        """Yield a refusal for each monthly number of trainings that is used up. Call it with the accounts locked."""
        if job.backend != Backend.TRAINING:
            return
        for holder, jobs in self._holders(job):
            limit = holder.trainings_per_month
            if limit is None:
                continue
            used = jobs.count() + self._added[type(holder).__name__, holder.pk]
            if used >= limit:
                words = {"holder": getattr(holder, "name", str(holder)), "limit": limit}
                message = _("%(holder)s has used its %(limit)d trainings of this month.")
                yield QuotaSpent(message % words)

    def add(self, job: Job) -> None:
        if job.backend == Backend.TRAINING:
            self._added.update((type(holder).__name__, holder.pk) for holder, _jobs in self._holders(job))

    def _holders(self, job: Job) -> Iterator[tuple[Holder, QuerySet[Job]]]:
        """Source and key of the job, each with its trainings of this month. Those that cost nothing do not count."""
        month = timezone.localtime(job.created_at).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        counts = Q(state__in=[*ACTIVE, State.SUCCEEDED]) | Q(state=State.CANCELLED, cost__gt=0)
        trainings = Job.objects.filter(source=job.source, backend=Backend.TRAINING, created_at__gte=month)
        counted = trainings.filter(counts)
        yield job.source, counted
        if job.key is not None:
            yield job.key, counted.filter(key=job.key)


def _over_limits(holder: Holder, name: str, training: LoraTraining) -> Iterator[Refused]:
    numbers = {
        "steps": (training.steps, holder.max_training_steps),
        "images": (len(training.images), holder.max_training_images),
    }
    for field, (asked, limit) in numbers.items():
        if limit is not None and asked > limit:
            message = _("%(field)s must be at most %(limit)d for %(source)s (got %(asked)d).")
            words = {"asked": asked, "source": name, "limit": limit}
            yield OverLimit(message, field=field, words=words)


def _measures_on_samples(source: BusinessSource) -> Iterator[Refused]:
    if source.nsfw_policy in NSFW_MEASURES:
        message = _(
            "%(source)s has an NSFW policy that the trainer cannot apply to its sample images: %(policy)s."
        )
        words = {"source": source.name, "policy": source.get_nsfw_policy_display()}
        yield Unsupported(message % words, field=None)


def _name_taken(source: BusinessSource, name: str) -> Iterator[Refused]:
    unfinished = Training.objects.filter(name=name, job__source=source, job__state__in=ACTIVE)
    if unfinished.exists():
        yield NameTaken(_("%(name)s is being trained already.") % {"name": name}, field="name")
        return
    try:
        resolve(Kind.LORA, name, source)
    except ModelNotFound:
        return
    words = {"kind": Kind.LORA.value, "name": name}
    yield NameTaken(_("There is a %(kind)s named %(name)s already.") % words, field="name")
