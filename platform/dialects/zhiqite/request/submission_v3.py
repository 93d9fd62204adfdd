"""Convert the body of v3 to a Submission."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from access.models import AccessKey, BusinessSource
from dialects.zhiqite.authentication import DIALECT
from dialects.zhiqite.errors import WireError
from gpu_runner.protocol import InputImage
from gpu_runner.protocol.images.working_size import working_size
from jobs.admission.model_choice.defaults import ModelDefaults, defaults_of
from jobs.admission.submission import Submission
from jobs.outbound.callbacks.outbox import CallbackRequest

from . import common
from .fields_v3 import GenerationV3, Image2ImageV3, Text2ImageV3
from .input_images import InputImages
from .submission_v2 import DEFAULT_STRENGTH

TEXT, IMAGE = "v3/text2Image", "v3/image2Image"
BODIES: dict[str, type[GenerationV3]] = {TEXT: Text2ImageV3, IMAGE: Image2ImageV3}
NO_VALUE = ("", "None")
# Fields that a body may leave open, and the fields of the generation request that they set.
OPEN = {
    "steps": "num_inference_steps",
    "promptGuidanceFactor": "guidance_scale",
    "samplerName": "sampler",
    "samplerIndex": "sampler",
    "width": "width",
    "height": "height",
    "negativePrompt": "negative_prompt",
}
BO = "saasDrawingExternalImageParameterBO"


def read_submission(operation: str, key: AccessKey, body: GenerationV3, base_url: str) -> Submission:
    """The submission of a body. Raises WireError or Refused."""
    inputs = InputImages(key.source, base_url)
    external = body.saasDrawingExternalImageParameterBO
    vae, note = common.vae(external.vaeName, key.source)
    defaults = defaults_of(external.baseModelCode, key.source, key, dialect=DIALECT)
    fields = _common(body, key.source, defaults) | {"vae": vae}
    match body:
        case Text2ImageV3():
            common.no_base_image(**{f"{BO}.sourceImageUrl": external.sourceImageUrl})
            fields |= _text2image(body, fields, key.source)
        case Image2ImageV3():
            fields |= _image2image(body, inputs)
    return Submission(
        source=key.source,
        key=key,
        dialect=DIALECT,
        operation=operation,
        request=common.validated(fields),
        received=body.received(),
        input_files=inputs.files,
        external_id=external.businessTaskId,
        id_may_repeat=True,
        callback=CallbackRequest(body.callbackUrl, base_url=base_url) if body.callbackUrl else None,
        note=note,
    )


def _common(body: GenerationV3, source: BusinessSource, defaults: ModelDefaults) -> dict[str, Any]:
    if body.scriptName not in NO_VALUE:
        raise WireError(_("scriptName must be empty or None (scripts are not supported)"))
    external = body.saasDrawingExternalImageParameterBO
    prompt, negative = common.with_styles(body.prompt, body.negativePrompt, body.styles, source)
    by_index = body.samplerName in NO_VALUE
    sampler = body.samplerIndex if by_index else body.samplerName
    return {
        "prompt": defaults.prefixed(prompt),
        "negative_prompt": negative,
        "loras": common.loras(prompt, source),
        "checkpoint": external.baseModelCode,
        "tiling": body.tilling,
        "face_restoration": {} if body.restoreFaces else None,
        "output_format": common.output_format(external.targetImageFormat),
        "preview_every": common.PREVIEW_EVERY,
        "width": body.width,
        "height": body.height,
        "num_images": body.iterationCount * body.singleBatchImageCount,
        "batch_size": body.singleBatchImageCount,
        "num_inference_steps": body.steps,
        "guidance_scale": body.promptGuidanceFactor,
        "seed": common.seed(body.seed),
        "subseed": common.seed(body.subSeed),
        "subseed_strength": body.subSeedStrength,
        "seed_resize_from_width": max(0, body.initialNoiseWeight),
        "seed_resize_from_height": max(0, body.initialNoiseHeight),
        **common.sampling(sampler, "samplerIndex" if by_index else "samplerName"),
        **common.open_fields(body, OPEN, defaults),
    }


def _text2image(body: Text2ImageV3, common_fields: dict[str, Any], source: BusinessSource) -> dict[str, Any]:
    """Size and hires pass. With firstPhaseWidth or firstPhaseHeight, width and height are the size of the hires pass."""
    whole = common_fields["width"], common_fields["height"]
    size = body.firstPhaseWidth or whole[0], body.firstPhaseHeight or whole[1]
    fields = {"width": size[0], "height": size[1]}
    if not body.enableHighDefinitionRepair:
        return fields
    target = whole if size != whole else (None, None)
    hires = common.hires(
        size,
        target,
        body.highDefinitionRepairScale,
        body.highDefinitionRepairEnlarger,
        body.highDefinitionRepairPostSteps,
        body.deNoisingStrength,
        source,
    )
    return fields | {"hires": hires}


def _image2image(body: Image2ImageV3, inputs: InputImages) -> dict[str, Any]:
    url = body.saasDrawingExternalImageParameterBO.sourceImageUrl
    if not url:
        raise WireError(_("%(field)s is required for this operation") % {"field": f"{BO}.sourceImageUrl"})
    image = inputs.fetch(f"{BO}.sourceImageUrl", url)
    fields = {
        "task": "img2img",
        "init_images": (image,),
        "strength": DEFAULT_STRENGTH if body.deNoisingStrength is None else body.deNoisingStrength,
        "resize_mode": common.RESIZE_MODES[body.resizeMode],
        "initial_noise_multiplier": body.initialNoiseMultiplier,
    }
    return fields | (_scaled_size(inputs, image, body.imageResizeScale) if body.imageResizeScale else {})


def _scaled_size(inputs: InputImages, reference: InputImage, scale: float) -> dict[str, Any]:
    sides = inputs.size_of(reference)
    width, height = working_size(*(max(1, round(side * scale)) for side in sides))
    return {"width": width, "height": height}
