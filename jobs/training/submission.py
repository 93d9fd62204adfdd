"""Submits trainings: ``submit`` and ``price`` are the entry of every API and of the console."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _
from pydantic import ValidationError

from access.models import AccessKey, BusinessSource
from access.source_settings.prompt_modes import PromptMode
from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.request_parts.training import MAX_TRAINING_IMAGES
from jobs.admission.admit import admit_or_find
from jobs.admission.idempotency import Idempotency
from jobs.admission.model_choice.resolution import ModelResolver
from jobs.admission.model_choice.trainable_bases import TRANSFORMERS, untrainable
from jobs.admission.quote import Quote, quote
from jobs.admission.submission import Submission, random_seed
from jobs.errors import OverLimit, Refused, UnknownModel, Unsupported
from jobs.model_intake.submission import MAX_NAME, NAME
from jobs.models import Backend, Job, Lane, Training
from jobs.outbound.callbacks.outbox import CallbackRequest
from jobs.trained_files.installation import licence_of
from models_registry.errors import ModelNotFound, ModelUnusable
from models_registry.models import Kind, ModelFile
from models_registry.native_size import native_size

from .dataset import DatasetFile, checked

OPERATION = "training"
MIN_RESOLUTION, MAX_RESOLUTION = 128, 1536
MAX_DESCRIPTION = 2000
MAX_KEEP_DAYS = 36_500


@dataclass(frozen=True)
class TrainingRequest:
    """A LoRA to train. ``settings``: fields of LoraTraining besides those named here; left out ones have defaults.

    ``base``: name of the checkpoint; empty: the default one. ``resolution``: width and height of a square in pixels that
    images are scaled to, keeping their aspect ratio; None: what the base was trained at. ``epochs``: in place of
    settings["steps"], how often each image is seen. ``keep_days``: how long the LoRA is kept; the source may allow less.
    ``tags_images``: images without a caption get their tags, by ``tagger`` or the default one.
    """

    source: BusinessSource
    key: AccessKey | None
    dialect: str
    name: str
    files: Sequence[DatasetFile]
    base: str = ""
    trigger: str = ""
    sample_prompt: str = ""
    description: str = ""
    resolution: int | None = None
    epochs: int | None = None
    seed: int | None = None
    clip_skip: int = 1
    keep_days: int | None = None
    tags_images: bool = False
    tagger: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    received: dict[str, Any] = field(default_factory=dict)
    operation: str = OPERATION
    external_id: str = ""
    id_may_repeat: bool = False
    end_user: str = ""
    callback: CallbackRequest | None = None
    idempotency: Idempotency | None = None


def submit(request: TrainingRequest) -> tuple[Job, bool]:
    """Admit a training. Returns its job, with its Training, and whether it is new. Raises Refused; BadDataset lists files."""
    return admit_or_find(submission_of(request))


def price(request: TrainingRequest) -> Quote:
    """Price of a training, and the reasons why it would be refused. Nothing is stored."""
    try:
        submission = submission_of(request)
    except Refused as refused:
        return Quote([refused])
    return quote(submission)


def submission_of(request: TrainingRequest) -> Submission:
    """The submission of a training. Raises Refused."""
    _check_texts(request)
    base = _base(request)
    _check_family(request, base)
    side = _side(request, base)
    dataset = checked(request.files, side * side, _max_images(request))
    training = {
        **request.settings,
        **_steps(request, len(dataset)),
        "images": [
            {"image": {"sha256": sha256}, "caption": caption} for sha256, caption in dataset.captions.items()
        ],
        "tagger": _tagger(request),
        "trigger": request.trigger,
        "title": request.name,
        "license": licence_of(base),
        "base_name": base.name,
    }
    return Submission(
        source=request.source,
        key=request.key,
        dialect=request.dialect,
        operation=request.operation,
        request=_generation_request(request, base, side, training),
        received=request.received,
        input_files=dataset.files,
        lane=Lane.BULK,
        external_id=request.external_id,
        id_may_repeat=request.id_may_repeat,
        end_user=request.end_user,
        callback=request.callback,
        idempotency=request.idempotency,
        backend=Backend.TRAINING,
        prompt_mode=PromptMode.AS_IS,
        training=Training(name=request.name, description=request.description, keep_days=request.keep_days),
    )


def _check_texts(request: TrainingRequest) -> None:
    if len(request.name) > MAX_NAME or not NAME.fullmatch(request.name):
        message = _(
            "%(field)s must have 1 to %(limit)d letters, digits, dots, dashes, plus signs and underscores, "
            "and begin with a letter or digit."
        )
        raise OverLimit(message, field="name", words={"limit": MAX_NAME})
    if request.keep_days is not None and not 1 <= request.keep_days <= MAX_KEEP_DAYS:
        message = _("%(field)s must be from %(least)d to %(limit)d (got %(asked)d).")
        words = {"least": 1, "limit": MAX_KEEP_DAYS, "asked": request.keep_days}
        raise OverLimit(message, field="keep_days", words=words)
    if len(request.description) > MAX_DESCRIPTION:
        message = _("%(field)s must have at most %(limit)d characters (got %(count)d).")
        words = {"limit": MAX_DESCRIPTION, "count": len(request.description)}
        raise OverLimit(message, field="description", words=words)


def _base(request: TrainingRequest) -> ModelFile:
    """The base checkpoint. Admission checks it again, with the key's permissions."""
    try:
        base = ModelResolver(request.source, Backend.TRAINING).find(Kind.CHECKPOINT, request.base)
    except ModelUnusable as error:
        raise Unsupported(str(error), field="base") from error
    except ModelNotFound as error:
        raise UnknownModel(str(error), field="base") from error
    for refused in untrainable(base):
        refused.field = "base"
        raise refused
    return base


def _tagger(request: TrainingRequest) -> str:
    """Name of the tagger that captions images; empty if none does."""
    if not request.tags_images:
        return ""
    try:
        return ModelResolver(request.source, Backend.TRAINING).find(Kind.TAGGER, request.tagger).name
    except ModelUnusable as error:
        raise Unsupported(str(error), field="tagger") from error
    except ModelNotFound as error:
        if request.tagger:
            raise UnknownModel(str(error), field="tagger") from error
        message = _("Images cannot be captioned by tags: no tagger is registered.")
        raise Unsupported(message, field="captions") from error


def _check_family(request: TrainingRequest, base: ModelFile) -> None:
    if base.family in TRANSFORMERS and request.settings.get("text_encoder_learning_rate"):
        message = _("%(field)s must be 0: the text encoders of %(family)s are not trained.")
        words = {"family": base.get_family_display()}
        raise Unsupported(message, field="text_encoder_learning_rate", words=words)


def _side(request: TrainingRequest, base: ModelFile) -> int:
    if request.resolution is None:
        width, height = native_size(base)
        side = round((width * height) ** 0.5) // 8 * 8
        return min(side, *_largest_sides(request))
    if not MIN_RESOLUTION <= request.resolution <= MAX_RESOLUTION or request.resolution % 8:
        message = _("%(field)s must be a multiple of 8 from %(least)d to %(limit)d (got %(asked)d).")
        words = {"least": MIN_RESOLUTION, "limit": MAX_RESOLUTION, "asked": request.resolution}
        raise OverLimit(message, field="resolution", words=words)
    return request.resolution


def _largest_sides(request: TrainingRequest) -> list[int]:
    holders: list[BusinessSource | AccessKey] = [request.source, *([request.key] if request.key else [])]
    sides = [side for holder in holders for side in (holder.max_width, holder.max_height) if side is not None]
    return [side // 8 * 8 for side in sides]


def _max_images(request: TrainingRequest) -> int:
    limits = [request.source.max_training_images, request.key.max_training_images if request.key else None]
    return min(MAX_TRAINING_IMAGES, *(limit for limit in limits if limit is not None))


def _steps(request: TrainingRequest, images: int) -> dict[str, int]:
    if request.epochs is None:
        return {}
    if "steps" in request.settings:
        raise OverLimit(_("%(field)s and steps exclude each other."), field="epochs", words={})
    if request.epochs < 1:
        message = _("%(field)s must be at least 1 (got %(asked)d).")
        raise OverLimit(message, field="epochs", words={"asked": request.epochs})
    batch = int(request.settings.get("batch_size", 1))
    return {"steps": -(-images * request.epochs // max(1, batch))}


def _generation_request(
    request: TrainingRequest, base: ModelFile, side: int, training: dict[str, Any]
) -> GenerationRequest:
    """Raises Unsupported with the field that is out of range."""
    try:
        return GenerationRequest.model_validate(
            {
                "task": "train_lora",
                "checkpoint": base.name,
                "prompt": request.sample_prompt,
                "width": side,
                "height": side,
                "clip_skip": request.clip_skip,
                "seed": random_seed() if request.seed is None else request.seed,
                "training": training,
            }
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = [part for part in first["loc"] if part != "training"]
        if not place:
            raise Unsupported(first["msg"], field=None, code="invalid") from None
        words = {"reason": first["msg"]}
        field = ".".join(map(str, place))
        raise Unsupported("%(field)s: %(reason)s", field=field, words=words, code="invalid") from None
