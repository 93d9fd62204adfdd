"""``/controlnet/detect``: the maps that preprocessors make of images, as a job of the task ``control_map``."""

from __future__ import annotations

import io
from typing import Any

from django.utils.translation import gettext as _
from PIL import Image

from access.models import AccessKey
from dialects.a1111.authentication import DIALECT
from dialects.a1111.errors import WireError
from dialects.a1111.options import options
from dialects.a1111.request.image_urls import followed
from dialects.a1111.schema import images as pictures
from dialects.a1111.schema.coercion import array, integer, number, string
from dialects.a1111.schema.fields import Field, parse
from gpu_runner.protocol import GenerationRequest, Picture, preprocessor_catalog
from gpu_runner.protocol.generation_request import ControlUnit
from jobs.admission.model_resolution import ModelResolver
from jobs.admission.submission import Submission
from jobs.admission.validation import unsupported_control_units
from jobs.errors import Refused
from jobs.images.storage import check_picture, read_output
from jobs.models import Job, Lane

OPERATION = "controlnet-detect"

FIELDS: dict[str, Field] = {
    "controlnet_module": Field(string, "none", nullable=False),
    "controlnet_input_images": Field(array, [], nullable=False),
    "controlnet_images": Field(array, [], nullable=False),  # what the most used client calls them
    "controlnet_processor_res": Field(integer, -1, nullable=False),
    "controlnet_threshold_a": Field(number, -1.0, nullable=False),
    "controlnet_threshold_b": Field(number, -1.0, nullable=False),
    "controlnet_masks": Field(array, [], nullable=False),
}
IMAGE_FIELDS = {"controlnet_input_images", "controlnet_images", "controlnet_masks"}
NOT_FOR_MAPS = {"clip_vision", "revision_clipvision", "revision_ignore_prompt", "ip-adapter-auto"}
NEED_MASKS = {"inpaint", "inpaint_only", "inpaint_only+lama"}
MOST_PICTURES = 16
MOST_RESOLUTION = 4096  # of a control unit
WIRE_NAMES = {"num_images": "controlnet_input_images"}


def read_submission(operation: str, key: AccessKey, body: dict[str, Any]) -> Submission:
    """Parses the body of detect. Raises Unprocessable or WireError."""
    asked = parse(FIELDS, followed(body, key.source))
    module = _module(asked["controlnet_module"])
    files = _files(module, asked)
    settings = options.EffectiveOptions(key, {}, restore=True)
    request = GenerationRequest(
        task="control_map",
        checkpoint=settings["sd_model_checkpoint"] or "",
        init_images=tuple(Picture(sha256=pictures.sha256(data)) for data in files),
        num_images=len(files),
        controls=(_unit(module, asked),),
    )
    for refused in unsupported_control_units(ModelResolver(key.source), request):
        raise WireError(422, detail="Module not available", errors=refused.message)
    return Submission(
        source=key.source,
        key=key,
        dialect=DIALECT,
        operation=operation,
        request=request,
        received={"parameters": {name: asked[name] for name in FIELDS if name not in IMAGE_FIELDS}},
        pictures={pictures.sha256(data): data for data in files},
        lane=Lane.INTERACTIVE,
    )


def answer(job: Job) -> dict[str, Any]:
    images = [pictures.encode(read_output(output)) for output in job.outputs.all()]
    return {"images": images, "info": "Success"}


def _module(name: str) -> preprocessor_catalog.Module:
    module = preprocessor_catalog.find(name)
    if module is None:
        raise WireError(422, detail="Module not available")
    if module.name in NOT_FOR_MAPS:
        raise WireError(422, detail="Module not supported")
    if module.refused:
        raise WireError(422, detail="Module not available", errors=f"{module.name}: {module.refused}")
    return module


def _files(module: preprocessor_catalog.Module, asked: dict[str, Any]) -> list[bytes]:
    images = asked["controlnet_input_images"] or asked["controlnet_images"]
    masks = asked["controlnet_masks"]
    if not images:
        raise WireError(422, detail="No image selected")
    if len(images) > MOST_PICTURES:
        raise WireError(422, detail=_("At most %d pictures at once.") % MOST_PICTURES)
    if module.name not in NEED_MASKS:
        return [pictures.decode(image) for image in images]
    if len(masks) != len(images):
        raise WireError(422, detail=f"Preprocessor {module.name} requires `controlnet_masks` param.")
    return [_masked(*pair) for pair in zip(images, masks, strict=True)]


def _unit(module: preprocessor_catalog.Module, asked: dict[str, Any]) -> ControlUnit:
    """Numbers out of a slider's range mean the module's default. For modules with masks, the masked image is the map."""
    resolution = asked["controlnet_processor_res"]
    return ControlUnit(
        module="none" if module.name in NEED_MASKS else module.name,
        processor_res=resolution if 1 <= resolution <= MOST_RESOLUTION else None,
        threshold_a=asked["controlnet_threshold_a"],
        threshold_b=asked["controlnet_threshold_b"],
    )


def _masked(image: Any, mask: Any) -> bytes:
    """A PNG file of the image, black where its mask is white."""
    picture = _opened(image)
    hidden = _opened(mask).convert("L").resize(picture.size).point(lambda level: 255 * (level > 127))
    picture.paste("black", mask=hidden)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _opened(text: Any) -> Image.Image:
    data = pictures.decode(text)
    try:
        check_picture(data)
    except Refused:
        raise pictures.invalid_picture() from None
    with Image.open(io.BytesIO(data)) as picture:
        return picture.convert("RGB")
