"""Requests to load a model file from a URL: what is refused at once, and the row of what is taken."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext as _

from access.models import AccessKey, BusinessSource
from jobs.errors import ModelNotAllowed, OverLimit, QueueFull, Refused, Unsupported
from jobs.models.model_intake import IntakeState, ModelIntake
from jobs.outbound.callbacks import outbox
from jobs.outbound.callbacks.outbox import CallbackRequest
from jobs.outbound.connections import check_target
from jobs.outbound.policy import Policy
from models_registry.errors import ModelNotFound
from models_registry.models import Kind
from models_registry.selectors import resolve

# Kinds that requests name. Models of the platform itself, such as NSFW detectors, are installed by operators.
KINDS = (Kind.CHECKPOINT, Kind.LORA, Kind.VAE, Kind.CONTROLNET, Kind.EMBEDDING, Kind.UPSCALER)
NAME = re.compile(r"\w[\w.+-]*")
MAX_NAME = 100
MAX_UNFINISHED = 10  # per source
REPOSITORY = re.compile(r"[\w.-]+(/[\w.-]+)?")


class ModelExists(Refused):
    code = "model_exists"


@dataclass(frozen=True)
class IntakeRequest:
    """A model file to load. ``kind``, ``families`` and ``file_format``: expected ones; empty: any."""

    source: BusinessSource
    key: AccessKey | None
    requested_by: str
    dialect: str
    url: str
    name: str
    kind: str = ""
    families: Sequence[str] = ()
    file_format: str = ""
    title: str = ""
    is_shared: bool = False
    callback: CallbackRequest | None = None


def submit(request: IntakeRequest) -> ModelIntake:
    """Queue the file for the background cluster. Raises Refused."""
    _check_names(request)
    _check_url(request)
    if request.callback is not None:
        outbox.check(request.source, request.dialect, request.callback)
    _check_is_new(request)
    with transaction.atomic():
        intake = _row(request)
        intake.save()
        if request.callback is not None:
            outbox.add_for_intake(intake.pk, request.dialect, request.callback)
    return intake


def _row(request: IntakeRequest) -> ModelIntake:
    return ModelIntake(
        source=request.source,
        key=request.key,
        requested_by=request.requested_by[:200],
        dialect=request.dialect,
        url=request.url,
        name=request.name,
        title=request.title,
        kind=request.kind,
        families=list(request.families),
        file_format=request.file_format,
        is_shared=request.is_shared,
    )


def _check_names(request: IntakeRequest) -> None:
    for field, name in (("name", request.name), ("title", request.title)):
        if (name or field == "name") and (len(name) > MAX_NAME or not NAME.fullmatch(name)):
            message = _(
                "%(field)s must have 1 to %(limit)d letters, digits, dots, dashes, plus signs and underscores, "
                "and begin with a letter or digit."
            )
            raise OverLimit(message, field=field, words={"limit": MAX_NAME})
    if request.kind and request.kind not in KINDS:
        kinds = ", ".join(KINDS)
        raise Unsupported(_("%(field)s must be one of: %(kinds)s."), field="kind", words={"kinds": kinds})
    if request.key and request.kind and not request.key.allows_model(request.kind, request.name):
        message = _("This key may not use the %(kind)s %(name)s.")
        raise ModelNotAllowed(message % {"kind": request.kind, "name": request.name}, field="name")


def _check_url(request: IntakeRequest) -> None:
    if REPOSITORY.fullmatch(request.url):
        message = _(
            "%(field)s names a repository. Repositories in the diffusers format are not loaded: give the URL of one "
            ".safetensors, .ckpt or .pt file."
        )
        raise Unsupported(message, field="url", words={})
    try:
        check_target(request.url, Policy.of(request.source))
    except Refused as refused:
        refused.field = "url"
        raise


def _check_is_new(request: IntakeRequest) -> None:
    source, name = request.source, request.name
    unfinished = ModelIntake.objects.filter(
        source=source, state__in=(IntakeState.QUEUED, IntakeState.RUNNING)
    )
    if unfinished.filter(name=name, kind__in=(request.kind, "")).exists():
        raise ModelExists(_("%(name)s is being loaded already.") % {"name": name}, field="name")
    if unfinished.count() >= MAX_UNFINISHED:
        message = _("At most %(limit)d models may wait to be loaded; wait until one is ready.")
        raise QueueFull(message % {"limit": MAX_UNFINISHED}, retry_after=60)
    for kind in [request.kind] if request.kind else KINDS:
        try:
            resolve(kind, name, source)
        except ModelNotFound:
            continue
        raise ModelExists(
            _("There is a %(kind)s named %(name)s already.") % {"kind": kind, "name": name}, field="name"
        )
