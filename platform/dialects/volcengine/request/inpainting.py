"""Inpainting (the white part of the mask) and outpainting (beyond the edges), as the task change_background.

Pixels outside the mask are kept, except for a blended border.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from dialects.volcengine.errors import ServiceError
from gpu_runner.protocol.images.working_size import LARGEST, SMALLEST
from jobs.images.outpaint_canvas import Margins, TooLarge, expanded
from models_registry.models import StylePreset

from .images import ImageFile
from .json_body import Body
from .sizes import img2img_size

DEFAULT_MARGIN = 0.1  # beyond each edge, as a fraction of the image's side
MAX_MARGIN = 1.0
MAX_CANVAS_SIDE = 1920  # pixels
SIDES = ("left", "top", "right", "bottom")
# Border in pixels: this much of the kept part is generated too, and blended with the original.
INPAINT_BLEND, OUTPAINT_BLEND = 4, 8


@dataclass(frozen=True)
class InpaintInputs:
    """Image and mask of a job; ``sent`` has those that came with the request, by their role."""

    image: ImageFile
    mask: ImageFile  # white is generated
    blend: int  # pixels
    sent: dict[str, ImageFile] = field(default_factory=dict)

    def fields(self, preset: StylePreset, body: Body) -> dict[str, Any]:
        """Fields of the GenerationRequest."""
        longest = max(self.image.width, self.image.height)
        width, height = img2img_size(preset, body, self.image, longest)
        return {
            "task": "change_background",
            "init_images": (self.image.reference,),
            "change_background": {
                "mask": self.mask.reference,
                "mask_invert": True,
                "content": "fill",
                "mask_expansion": -self.blend,
                "feather": self.blend,
                "output_width": self.image.width,
                "output_height": self.image.height,
            },
            "width": width,
            "height": height,
            "strength": body.number("strength", preset.strength, 0, 1),
        }


def inpainting(images: list[ImageFile]) -> InpaintInputs:
    """Inputs of an inpainting style: an image and its mask. Raises ServiceError 50201 if one is missing."""
    if len(images) < 2:
        raise ServiceError(50201, _("two images are required: the image and its mask"))
    image, mask = images
    return InpaintInputs(image, mask, INPAINT_BLEND, {"picture": image, "mask": mask})


def outpainting(images: list[ImageFile], body: Body) -> InpaintInputs:
    """Inputs of an outpainting style. With a mask, the image is the finished canvas, and the margins are ignored.

    Raises ServiceError: 50200 if every margin is 0, 50205 if the canvas would be too large.
    """
    if len(images) > 1:
        image, mask = images
        return InpaintInputs(image, mask, OUTPAINT_BLEND, {"picture": image, "mask": mask})
    (image,) = images
    fractions = {side: body.number(side, DEFAULT_MARGIN, 0, MAX_MARGIN) for side in SIDES}
    if not any(fractions.values()):
        raise ServiceError(50200, _("one of left, top, right and bottom must be greater than 0"))
    lengths = {"left": image.width, "right": image.width, "top": image.height, "bottom": image.height}
    margins = Margins(**{side: round(fraction * lengths[side]) for side, fraction in fractions.items()})
    max_width = body.integer("max_width", MAX_CANVAS_SIDE, SMALLEST, LARGEST)
    max_height = body.integer("max_height", MAX_CANVAS_SIDE, SMALLEST, LARGEST)
    try:
        larger = expanded(image.data, margins, (max_width, max_height))
    except TooLarge as error:
        raise ServiceError(50205, _("the expanded image would be too large: %s") % error) from None
    canvas, mask = (ImageFile(data, larger.width, larger.height) for data in (larger.canvas, larger.mask))
    return InpaintInputs(canvas, mask, OUTPAINT_BLEND, {"picture": image})
