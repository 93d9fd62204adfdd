"""From a v3 body to a submission."""

from __future__ import annotations

import io
from typing import Any

from django.utils.translation import gettext as _
from PIL import Image

from access.models import AccessKey, BusinessSource
from dialects.zhiqite.authentication import DIALECT
from dialects.zhiqite.errors import WireError
from gpu_runner.protocol import Picture
from gpu_runner.protocol.working_size import working_size
from jobs.admission.submission import Submission
from jobs.outbound.callbacks.outbox import CallbackRequest

from . import common
from .fields_v3 import DrawingV3, ImageV3, TextV3
from .input_images import Inputs
from .submission_v2 import STRENGTH

TEXT, IMAGE = "v3/text2Image", "v3/image2Image"
BODIES: dict[str, type[DrawingV3]] = {TEXT: TextV3, IMAGE: ImageV3}
NOTHING = ("", "None")
BO = "saasDrawingExternalImageParameterBO"


def read_submission(operation: str, key: AccessKey, asked: DrawingV3, base_url: str) -> Submission:
    """Raises WireError or Refused for whatever cannot become one."""
    inputs = Inputs(key.source)
    wanted = _common(asked, key.source)
    match asked:
        case TextV3():
            wanted |= _from_text(asked, key.source)
        case ImageV3():
            wanted |= _from_picture(asked, inputs)
    return Submission(
        source=key.source,
        key=key,
        dialect=DIALECT,
        operation=operation,
        request=common.canonical(wanted),
        received=asked.received(),
        pictures=inputs.files,
        external_id=asked.saasDrawingExternalImageParameterBO.businessTaskId,
        id_may_repeat=True,
        callback=CallbackRequest(asked.callbackUrl, base_url=base_url) if asked.callbackUrl else None,
    )


def _common(asked: DrawingV3, source: BusinessSource) -> dict[str, Any]:
    if asked.scriptName not in NOTHING:
        raise WireError(_("scriptName: there are no scripts here"))
    external = asked.saasDrawingExternalImageParameterBO
    prompt, negative = common.styled(asked.prompt, asked.negativePrompt, asked.styles, source)
    by_index = asked.samplerName in NOTHING
    sampler = asked.samplerIndex if by_index else asked.samplerName
    return {
        "prompt": prompt,
        "negative_prompt": negative,
        "loras": common.loras(prompt, source),
        "checkpoint": external.baseModelCode,
        "vae": common.vae(external.vaeName),
        "tiling": asked.tilling,
        "face_restoration": {} if asked.restoreFaces else None,
        "output_format": common.output_format(external.targetImageFormat),
        "preview_every": common.PREVIEW_EVERY,
        "width": asked.width,
        "height": asked.height,
        "num_images": asked.iterationCount * asked.singleBatchImageCount,
        "batch_size": asked.singleBatchImageCount,
        "num_inference_steps": asked.steps,
        "guidance_scale": asked.promptGuidanceFactor,
        "seed": common.seed(asked.seed),
        "subseed": common.seed(asked.subSeed),
        "subseed_strength": asked.subSeedStrength,
        "seed_resize_from_width": max(0, asked.initialNoiseWeight),
        "seed_resize_from_height": max(0, asked.initialNoiseHeight),
        **common.sampling(sampler, "samplerIndex" if by_index else "samplerName"),
    }


def _from_text(asked: TextV3, source: BusinessSource) -> dict[str, Any]:
    """Drawn at the first phase's size where there is one; width and height are then where the second pass ends."""
    size = asked.firstPhaseWidth or asked.width, asked.firstPhaseHeight or asked.height
    first = {"width": size[0], "height": size[1]}
    if not asked.enableHighDefinitionRepair:
        return first
    target = (asked.width, asked.height) if size != (asked.width, asked.height) else (None, None)
    hires = common.hires(
        size,
        target,
        asked.highDefinitionRepairScale,
        asked.highDefinitionRepairEnlarger,
        asked.highDefinitionRepairPostSteps,
        asked.deNoisingStrength,
        source,
    )
    return first | {"hires": hires}


def _from_picture(asked: ImageV3, inputs: Inputs) -> dict[str, Any]:
    link = asked.saasDrawingExternalImageParameterBO.sourceImageUrl
    if not link:
        raise WireError(_("%(field)s: this operation needs a picture") % {"field": f"{BO}.sourceImageUrl"})
    picture = inputs.fetched(link)
    begun = {
        "task": "img2img",
        "init_images": (picture,),
        "strength": STRENGTH if asked.deNoisingStrength is None else asked.deNoisingStrength,
        "resize_mode": common.RESIZE_MODES[asked.resizeMode],
        "initial_noise_multiplier": asked.initialNoiseMultiplier,
    }
    return begun | (_resized(inputs, picture, asked.imageResizeScale) if asked.imageResizeScale else {})


def _resized(inputs: Inputs, picture: Picture, scale: float) -> dict[str, Any]:
    with Image.open(io.BytesIO(inputs.files[picture.sha256])) as opened:
        sides = opened.size
    width, height = working_size(*(max(1, round(side * scale)) for side in sides))
    return {"width": width, "height": height}
