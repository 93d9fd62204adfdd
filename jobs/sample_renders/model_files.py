"""Drawing with one model file, to see what it does: the same seed and size for all of a family."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from PIL import Image, ImageDraw

from access.internal_source import internal_source
from access.models import BusinessSource
from gpu_runner.protocol import GenerationRequest, Picture
from gpu_runner.protocol.generation_request import ControlUnit, CutOut, LoraUse, Upscale
from jobs.admission.admit import admit
from jobs.admission.submission import Submission
from jobs.errors import Refused, Unsupported
from jobs.models import Job, Lane
from jobs.models.model_sample import ModelSample
from models_registry.models import Family, Kind, ModelFile
from models_registry.selectors import list_for

PROMPT = "a red circle on a blue background"
SEED = 1
SIDES = {Family.SDXL: 1024, Family.SD2: 768}
SIDE = 512
DIALECT, OPERATION = "console", "sample"

Picked = tuple[dict[str, Any], bytes | None]  # fields of the request, and the picture that they name


def can_be_sampled(file: ModelFile) -> bool:
    return file.kind in MAKERS


def sources_for(file: ModelFile) -> list[BusinessSource]:
    """Who may draw with it: where everybody may, the platform itself does."""
    allowed = list(file.allowed_sources.filter(enabled=True))
    return allowed or [internal_source()]


def draw(file: ModelFile, prompt: str = PROMPT, *, by: str = "") -> Job:
    """Raises Refused."""
    make = MAKERS.get(file.kind)
    if make is None:
        raise Unsupported(_("Nothing is drawn with files of this kind alone."))
    sources = sources_for(file)
    if not sources:
        raise Unsupported(_("None of the sources that may use it is enabled."))
    fields, picture = make(file, prompt, sources[0])
    submission = Submission(
        source=sources[0],
        key=None,
        dialect=DIALECT,
        operation=OPERATION,
        request=_request(file, fields),
        received={"model": file.path, "prompt": prompt},
        pictures={hashlib.sha256(picture).hexdigest(): picture} if picture else {},
        lane=Lane.INTERACTIVE,
        note=by,
    )
    with transaction.atomic():
        job = admit(submission)
        ModelSample.objects.create(file=file, job=job)
    return job


def newest_pictured(files: list[ModelFile]) -> dict[int, Job]:
    """By the file's key: the newest sample that has a picture."""
    samples = ModelSample.objects.filter(file__in=files, job__outputs__kind="picture").order_by("pk")
    return {sample.file_id: sample.job for sample in samples.select_related("job").distinct()}


def _request(file: ModelFile, fields: dict[str, Any]) -> GenerationRequest:
    side = SIDES.get(Family(file.family), SIDE)
    walk = {"num_inference_steps": 20, "sampler": "DPM++ 2M", "scheduler": "Karras", "seed": SEED}
    try:
        return GenerationRequest.model_validate({"width": side, "height": side, **walk, **fields})
    except ValueError as error:
        raise Refused(_("The prompt is too long.")) from error


def _checkpoint(file: ModelFile, prompt: str, source: BusinessSource) -> Picked:
    return {"prompt": prompt, "checkpoint": file.name}, None


def _lora(file: ModelFile, prompt: str, source: BusinessSource) -> Picked:
    words = ", ".join(part for part in (prompt, file.trigger_words) if part)
    return {"prompt": words, "checkpoint": _base(file, source), "loras": (LoraUse(name=file.name),)}, None


def _embedding(file: ModelFile, prompt: str, source: BusinessSource) -> Picked:
    words = f"{prompt}, {file.name}"
    return {"prompt": words, "checkpoint": _base(file, source), "embeddings": (file.name,)}, None


def _vae(file: ModelFile, prompt: str, source: BusinessSource) -> Picked:
    return {"prompt": prompt, "checkpoint": _base(file, source), "vae": file.name}, None


def _controlnet(file: ModelFile, prompt: str, source: BusinessSource) -> Picked:
    outline = _drawing("black", None, "white")
    unit = ControlUnit(model=file.name, image=_named(outline))
    return {"prompt": prompt, "checkpoint": _base(file, source), "controls": (unit,)}, outline


def _upscaler(file: ModelFile, prompt: str, source: BusinessSource) -> Picked:
    small = _drawing("navy", "red", "white", side=128)
    part = Upscale(scale=4, upscaler=file.name)
    return {"task": "upscale", "init_images": (_named(small),), "upscale": part}, small


def _matting(file: ModelFile, prompt: str, source: BusinessSource) -> Picked:
    product = _drawing("lightgray", "red", "maroon")
    part = CutOut(matting_model=file.name)
    return {"task": "cut_out", "init_images": (_named(product),), "cut_out": part}, product


MAKERS: dict[str, Callable[[ModelFile, str, BusinessSource], Picked]] = {
    Kind.CHECKPOINT: _checkpoint,
    Kind.LORA: _lora,
    Kind.EMBEDDING: _embedding,
    Kind.VAE: _vae,
    Kind.CONTROLNET: _controlnet,
    Kind.UPSCALER: _upscaler,
    Kind.MATTING: _matting,
}


def _base(file: ModelFile, source: BusinessSource) -> str:
    """A checkpoint that the file fits; the default one where it tells no family."""
    if file.family == Family.UNKNOWN:
        return ""
    fitting = list_for(Kind.CHECKPOINT, source).filter(family=file.family)
    base = fitting.order_by("-is_default", "created_at", "pk").first()
    return base.name if base else ""


def _drawing(ground: str, fill: str | None, line: str, side: int = SIDE) -> bytes:
    picture = Image.new("RGB", (side, side), ground)
    edge = side // 4
    ImageDraw.Draw(picture).ellipse((edge, edge, side - edge, side - edge), fill, line, max(2, side // 128))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def _named(data: bytes) -> Picture:
    return Picture(sha256=hashlib.sha256(data).hexdigest())
