"""What of a picture is drawn anew: where its mask is white, or what is beyond its edges. Behind a rim, the rest stays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from dialects.volcengine.errors import ServiceError
from gpu_runner.protocol.working_size import LARGEST, SMALLEST
from jobs.images.outpaint_canvas import Margins, TooLarge, expanded
from models_registry.models import StylePreset

from .images import InputPicture
from .json_body import Body
from .sizes import worked_size

MARGIN = 0.1  # beyond each edge, of the picture's side
LARGEST_MARGIN = 1.0
LARGEST_CANVAS = 1920  # pixels
SIDES = ("left", "top", "right", "bottom")
# Pixels of what stays that are drawn anew, too, and over which the two are blended.
RIM, SEAM = 4, 8


@dataclass(frozen=True)
class Repainting:
    picture: InputPicture
    mask: InputPicture  # white is drawn anew
    rim: int
    sent: dict[str, InputPicture] = field(default_factory=dict)

    def wanted(self, preset: StylePreset, body: Body) -> dict[str, Any]:
        """Fields of the canonical request."""
        longest = max(self.picture.width, self.picture.height)
        width, height = worked_size(preset, body, self.picture, longest)
        return {
            "task": "change_background",
            "init_images": (self.picture.named,),
            "change_background": {
                "mask": self.mask.named,
                "mask_invert": True,
                "mask_expansion": -self.rim,
                "feather": self.rim,
                "output_width": self.picture.width,
                "output_height": self.picture.height,
            },
            "width": width,
            "height": height,
            "strength": body.number("strength", preset.strength, 0, 1),
        }


def inpainting(pictures: list[InputPicture]) -> Repainting:
    picture, mask = _both(pictures)
    return Repainting(picture, mask, RIM, {"picture": picture, "mask": mask})


def outpainting(pictures: list[InputPicture], body: Body) -> Repainting:
    """With a mask, the picture is the canvas already, and the margins are not read."""
    if len(pictures) > 1:
        picture, mask = pictures
        return Repainting(picture, mask, SEAM, {"picture": picture, "mask": mask})
    (picture,) = pictures
    shares = {side: body.number(side, MARGIN, 0, LARGEST_MARGIN) for side in SIDES}
    if not any(shares.values()):
        raise ServiceError(50200, _("left, top, right and bottom leave nothing to draw"))
    lengths = {"left": picture.width, "right": picture.width, "top": picture.height, "bottom": picture.height}
    margins = Margins(**{side: round(share * lengths[side]) for side, share in shares.items()})
    most = tuple(
        body.integer(name, LARGEST_CANVAS, SMALLEST, LARGEST) for name in ("max_width", "max_height")
    )
    try:
        larger = expanded(picture.data, margins, (most[0], most[1]))
    except TooLarge as error:
        raise ServiceError(50205, _("the expanded picture would be too large: %s") % error) from None
    canvas, mask = (InputPicture(data, larger.width, larger.height) for data in (larger.canvas, larger.mask))
    return Repainting(canvas, mask, SEAM, {"picture": picture})


def _both(pictures: list[InputPicture]) -> tuple[InputPicture, InputPicture]:
    if len(pictures) < 2:
        raise ServiceError(50201, _("the picture and its mask are required"))
    return pictures[0], pictures[1]
