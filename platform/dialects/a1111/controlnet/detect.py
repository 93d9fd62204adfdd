"""Maps without a drawing: ``/controlnet/detect``, for the modules that need no network."""

from __future__ import annotations

import io
from typing import Any

from django.utils.translation import gettext as _
from PIL import Image

from dialects.a1111.errors import WireError
from dialects.a1111.schema import images as pictures
from dialects.a1111.schema.coercion import array, integer, number, string
from dialects.a1111.schema.fields import Field, parse
from gpu_runner.protocol import preprocessor_catalog
from jobs.errors import Refused
from jobs.images.storage import check_picture

FIELDS: dict[str, Field] = {
    "controlnet_module": Field(string, "none", nullable=False),
    "controlnet_input_images": Field(array, [], nullable=False),
    "controlnet_images": Field(array, [], nullable=False),  # what the most used client calls them
    "controlnet_processor_res": Field(integer, -1, nullable=False),
    "controlnet_threshold_a": Field(number, -1.0, nullable=False),
    "controlnet_threshold_b": Field(number, -1.0, nullable=False),
    "controlnet_masks": Field(array, [], nullable=False),
}
NOT_FOR_MAPS = {"clip_vision", "revision_clipvision", "revision_ignore_prompt", "ip-adapter-auto"}
NEED_MASKS = {"inpaint", "inpaint_only", "inpaint_only+lama"}
MOST_PICTURES = 16


def detect(body: dict[str, Any]) -> dict[str, Any]:
    asked = parse(FIELDS, body)
    module = _module(asked["controlnet_module"])
    images = asked["controlnet_input_images"] or asked["controlnet_images"]
    masks = asked["controlnet_masks"]
    if not images:
        raise WireError(422, detail="No image selected")
    if len(images) > MOST_PICTURES:
        raise WireError(422, detail=_("At most %d pictures at once.") % MOST_PICTURES)
    if module.name in NEED_MASKS and len(masks) != len(images):
        raise WireError(422, detail=f"Preprocessor {module.name} requires `controlnet_masks` param.")
    settings = module.settings(
        asked["controlnet_processor_res"], asked["controlnet_threshold_a"], asked["controlnet_threshold_b"]
    )
    pairs = zip(images, [*masks, *[None] * len(images)], strict=False)
    maps = [_map(module, settings, *pair) for pair in pairs]
    return {"images": maps, "info": "Success"}


def _module(name: str) -> preprocessor_catalog.Module:
    module = preprocessor_catalog.find(name)
    if module is None:
        raise WireError(422, detail="Module not available")
    if module.name in NOT_FOR_MAPS:
        raise WireError(422, detail="Module not supported")
    if module.refused:
        raise WireError(422, detail="Module not available", errors=f"{module.name}: {module.refused}")
    if module.weights:
        why = _("%s needs a network, which draws its map only with a picture") % module.name
        raise WireError(422, detail="Module not available", errors=why)
    return module


def _map(
    module: preprocessor_catalog.Module, settings: preprocessor_catalog.ModuleSettings, image: Any, mask: Any
) -> str:
    # Only here, so that the web process holds OpenCV only where it is used.
    import numpy as np

    from gpu_runner.controlnet.preprocessors import registry

    picture = _opened(image)
    if module.name in NEED_MASKS:
        hidden = _opened(mask).convert("L").resize(picture.size).point(lambda level: 255 * (level > 127))
        picture.paste("black", mask=hidden)
    drawn = registry.detect(module, np.asarray(picture), settings)
    buffer = io.BytesIO()
    Image.fromarray(drawn).save(buffer, "PNG")
    return pictures.encode(buffer.getvalue())


def _opened(text: Any) -> Image.Image:
    data = pictures.decode(text)
    try:
        check_picture(data)
    except Refused:
        raise pictures.invalid_picture() from None
    with Image.open(io.BytesIO(data)) as picture:
        return picture.convert("RGB")
