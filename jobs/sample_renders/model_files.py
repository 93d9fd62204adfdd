"""Sample images of a model file. Seed and size are the same for all files of a model family."""

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
from access.source_settings.prompt_modes import PromptMode
from gpu_runner.protocol import GenerationRequest, InputImage
from gpu_runner.protocol.request_parts.backgrounds import CutOut
from gpu_runner.protocol.request_parts.control import ControlUnit
from gpu_runner.protocol.request_parts.passes import LoraUse
from gpu_runner.protocol.request_parts.upscaling import Upscale
from jobs.admission.admit import admit
from jobs.admission.model_choice.defaults import defaults_of
from jobs.admission.submission import Submission
from jobs.errors import Refused, Unsupported
from jobs.models import Job, Lane, OutputKind
from jobs.models.model_sample import ModelSample
from models_registry.models import Family, Kind, ModelFile
from models_registry.native_size import usual_side
from models_registry.selectors import list_for

PROMPT = "a red circle on a blue background"
SEED = 1
SIDE = 512  # of drawn input images
DIALECT, OPERATION = "console", "sample"

SampleFields = tuple[
    dict[str, Any], bytes | None
]  # fields of the request, and the input image that they refer to


def can_be_sampled(file: ModelFile) -> bool:
    return file.kind in MAKERS


def sources_for(file: ModelFile) -> list[BusinessSource]:
    """Enabled sources that the file is restricted to; the internal source if there are none."""
    allowed = list(file.allowed_sources.filter(enabled=True))
    return allowed or [internal_source()]


def submit_sample(file: ModelFile, prompt: str = PROMPT, *, by: str = "") -> Job:
    """Submit a sample job for the file. ``by``: note for the job's timeline. Raises Refused."""
    make = MAKERS.get(file.kind)
    if make is None:
        raise Unsupported(_("Sample images are not available for files of this kind."))
    source = sources_for(file)[0]
    fields, image = make(file, prompt, source)
    submission = Submission(
        source=source,
        key=None,
        dialect=DIALECT,
        operation=OPERATION,
        request=_request(file, fields, source),
        received={"model": file.path, "prompt": prompt},
        input_files={hashlib.sha256(image).hexdigest(): image} if image else {},
        lane=Lane.INTERACTIVE,
        prompt_mode=PromptMode.AS_IS,
        note=by,
    )
    with transaction.atomic():
        job = admit(submission)
        ModelSample.objects.create(file=file, job=job)
    return job


def newest_rendered(files: list[ModelFile]) -> dict[int, Job]:
    """Newest sample job with an image, by the id of its file."""
    samples = ModelSample.objects.filter(file__in=files, job__outputs__kind=OutputKind.IMAGE).order_by("pk")
    return {sample.file_id: sample.job for sample in samples.select_related("job").distinct()}


def _request(file: ModelFile, fields: dict[str, Any], source: BusinessSource) -> GenerationRequest:
    side = usual_side(file.family)
    sampling = {"num_inference_steps": 20, "sampler": "DPM++ 2M", "scheduler": "Karras", "seed": SEED}
    if "checkpoint" in fields:
        defaults = defaults_of(fields["checkpoint"], source)
        sampling |= defaults.fields({"width", "height"})
        fields = fields | {"prompt": defaults.prefixed(fields["prompt"])}
    try:
        return GenerationRequest.model_validate({"width": side, "height": side, **sampling, **fields})
    except ValueError as error:
        raise Refused(_("The prompt is too long.")) from error


def _checkpoint(file: ModelFile, prompt: str, source: BusinessSource) -> SampleFields:
    return {"prompt": prompt, "checkpoint": file.name}, None


def _lora(file: ModelFile, prompt: str, source: BusinessSource) -> SampleFields:
    text = ", ".join(part for part in (prompt, file.trigger_words) if part)
    return {"prompt": text, "checkpoint": _base(file, source), "loras": (LoraUse(name=file.name),)}, None


def _embedding(file: ModelFile, prompt: str, source: BusinessSource) -> SampleFields:
    text = f"{prompt}, {file.name}"
    return {"prompt": text, "checkpoint": _base(file, source), "embeddings": (file.name,)}, None


def _vae(file: ModelFile, prompt: str, source: BusinessSource) -> SampleFields:
    return {"prompt": prompt, "checkpoint": _base(file, source), "vae": file.name}, None


def _controlnet(file: ModelFile, prompt: str, source: BusinessSource) -> SampleFields:
    outline = _drawing("black", None, "white")
    unit = ControlUnit(model=file.name, image=_named(outline))
    return {"prompt": prompt, "checkpoint": _base(file, source), "controls": (unit,)}, outline


def _upscaler(file: ModelFile, prompt: str, source: BusinessSource) -> SampleFields:
    small = _drawing("navy", "red", "white", side=128)
    part = Upscale(scale=4, upscaler=file.name)
    return {"task": "upscale", "init_images": (_named(small),), "upscale": part}, small


def _matting(file: ModelFile, prompt: str, source: BusinessSource) -> SampleFields:
    product = _drawing("lightgray", "red", "maroon")
    part = CutOut(matting_model=file.name)
    return {"task": "cut_out", "init_images": (_named(product),), "cut_out": part}, product


MAKERS: dict[str, Callable[[ModelFile, str, BusinessSource], SampleFields]] = {
    Kind.CHECKPOINT: _checkpoint,
    Kind.LORA: _lora,
    Kind.EMBEDDING: _embedding,
    Kind.VAE: _vae,
    Kind.CONTROLNET: _controlnet,
    Kind.UPSCALER: _upscaler,
    Kind.MATTING: _matting,
}


def _base(file: ModelFile, source: BusinessSource) -> str:
    """Name of a checkpoint of the file's family; empty (the default checkpoint) if the family is unknown."""
    if file.family == Family.UNKNOWN:
        return ""
    candidates = list_for(Kind.CHECKPOINT, source).filter(family=file.family)
    base = candidates.order_by("-is_default", "created_at", "pk").first()
    return base.name if base else ""


def _drawing(background: str, fill: str | None, line: str, side: int = SIDE) -> bytes:
    image = Image.new("RGB", (side, side), background)
    edge = side // 4
    ImageDraw.Draw(image).ellipse((edge, edge, side - edge, side - edge), fill, line, max(2, side // 128))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _named(data: bytes) -> InputImage:
    return InputImage(sha256=hashlib.sha256(data).hexdigest())
