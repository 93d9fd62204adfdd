"""``/controlnet/detect``: run preprocessors on images, as a job of the task ``control_map``."""

from __future__ import annotations

import io
from typing import Any

from django.utils.translation import gettext as _
from PIL import Image

from access.models import AccessKey
from dialects.a1111.authentication import DIALECT
from dialects.a1111.errors import WireError
from dialects.a1111.options import options
from dialects.a1111.request.image_urls import with_fetched_images
from dialects.a1111.schema import images
from dialects.a1111.schema.coercion import array, integer, number, string
from dialects.a1111.schema.fields import Field, parse
from gpu_runner.protocol import GenerationRequest, InputImage
from gpu_runner.protocol.catalogs import preprocessors as preprocessor_catalog
from gpu_runner.protocol.findings import PosesFound
from gpu_runner.protocol.images.files import few_at_a_time, flatten
from gpu_runner.protocol.request_parts.control import ControlUnit
from jobs.admission.model_choice.resolution import ModelResolver
from jobs.admission.submission import Submission
from jobs.admission.validation import unsupported_control_units
from jobs.errors import InvalidImage
from jobs.images.input_files import open_image
from jobs.images.storage import read_output
from jobs.models import Job, Lane

OPERATION = "controlnet-detect"

FIELDS: dict[str, Field] = {
    "controlnet_module": Field(string, "none", nullable=False),
    "controlnet_input_images": Field(array, [], nullable=False),
    "controlnet_images": Field(array, [], nullable=False),  # name used by the most common client
    "controlnet_processor_res": Field(integer, -1, nullable=False),
    "controlnet_threshold_a": Field(number, -1.0, nullable=False),
    "controlnet_threshold_b": Field(number, -1.0, nullable=False),
    "controlnet_masks": Field(array, [], nullable=False),
}
IMAGE_FIELDS = {"controlnet_input_images", "controlnet_images", "controlnet_masks"}
NOT_FOR_MAPS = {"clip_vision", "revision_clipvision", "revision_ignore_prompt", "ip-adapter-auto"}
NEED_MASKS = {"inpaint", "inpaint_only", "inpaint_only+lama"}
MAX_IMAGES = 16
MAX_RESOLUTION = 4096  # maximum resolution of a control unit
WIRE_NAMES = {"num_images": "controlnet_input_images"}


def read_submission(operation: str, key: AccessKey, body: dict[str, Any], base_url: str) -> Submission:
    """Parse the body of a detect request. Raises Unprocessable or WireError."""
    parameters = parse(FIELDS, with_fetched_images(body, key.source, base_url))
    module = _module(parameters["controlnet_module"])
    files = _files(module, parameters)
    settings = options.EffectiveOptions(key, {}, restore=True)
    request = GenerationRequest(
        task="control_map",
        checkpoint=settings["sd_model_checkpoint"] or "",
        init_images=tuple(InputImage(sha256=images.sha256(data)) for data in files),
        num_images=len(files),
        controls=(_unit(module, parameters),),
    )
    for refused in unsupported_control_units(ModelResolver(key.source), request):
        raise WireError(422, detail="Module not available", errors=refused.message)
    return Submission(
        source=key.source,
        key=key,
        dialect=DIALECT,
        operation=operation,
        request=request,
        received={"parameters": {name: parameters[name] for name in FIELDS if name not in IMAGE_FIELDS}},
        input_files={images.sha256(data): data for data in files},
        lane=Lane.INTERACTIVE,
    )


def response_body(job: Job) -> dict[str, Any]:
    maps = [images.encode(read_output(output)) for output in job.outputs.all()]
    body: dict[str, Any] = {"images": maps, "info": "Success"}
    if poses := [
        found.data.openpose_json() for found in job.image_findings if isinstance(found.data, PosesFound)
    ]:
        body["poses"] = poses
    return body


def _module(name: str) -> preprocessor_catalog.Module:
    module = preprocessor_catalog.find(name)
    if module is None:
        raise WireError(422, detail="Module not available")
    if module.name in NOT_FOR_MAPS:
        raise WireError(422, detail="Module not supported")
    if module.refused:
        raise WireError(422, detail="Module not available", errors=f"{module.name}: {module.refused}")
    return module


def _files(module: preprocessor_catalog.Module, parameters: dict[str, Any]) -> list[bytes]:
    name = "controlnet_input_images" if parameters["controlnet_input_images"] else "controlnet_images"
    inputs = parameters[name]
    masks = parameters["controlnet_masks"]
    if not inputs:
        raise WireError(422, detail="No image selected")
    if len(inputs) > MAX_IMAGES:
        values = {"limit": MAX_IMAGES, "count": len(inputs)}
        raise WireError(422, detail=_("At most %(limit)d images per request (got %(count)d).") % values)
    if module.name not in NEED_MASKS:
        return [images.decode(image, f"{name}[{index}]") for index, image in enumerate(inputs)]
    if len(masks) != len(inputs):
        raise WireError(422, detail=f"Preprocessor {module.name} requires `controlnet_masks` param.")
    return [
        _apply_mask(
            images.decode(image, f"{name}[{index}]"), images.decode(mask, f"controlnet_masks[{index}]")
        )
        for index, (image, mask) in enumerate(zip(inputs, masks, strict=True))
    ]


def _unit(module: preprocessor_catalog.Module, parameters: dict[str, Any]) -> ControlUnit:
    """Build the control unit. Numbers outside the slider's range are replaced by the module's default.

    For modules with masks, the masked image is the map.
    """
    resolution = parameters["controlnet_processor_res"]
    return ControlUnit(
        module="none" if module.name in NEED_MASKS else module.name,
        processor_res=resolution if 1 <= resolution <= MAX_RESOLUTION else None,
        threshold_a=parameters["controlnet_threshold_a"],
        threshold_b=parameters["controlnet_threshold_b"],
    )


@few_at_a_time
def _apply_mask(image: bytes, mask: bytes) -> bytes:
    """PNG of the image, black where the mask is white."""
    masked = flatten(_open_image(image))
    hidden = (
        flatten(_open_image(mask)).convert("L").resize(masked.size).point(lambda level: 255 * (level > 127))
    )
    masked.paste("black", mask=hidden)
    buffer = io.BytesIO()
    masked.save(buffer, "PNG", compress_level=1)  # read once, by the runner
    return buffer.getvalue()


def _open_image(data: bytes) -> Image.Image:
    try:
        return open_image(data)
    except InvalidImage as refused:  # damaged beyond its header
        raise images.invalid_image("", refused.message) from None
