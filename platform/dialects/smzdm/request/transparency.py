"""Checks at admission that an image tells where the product is, which its job would find out too late."""

from __future__ import annotations

from typing import cast

from django.utils.translation import gettext as _
from PIL import Image

from dialects.smzdm.errors import Code, WireError
from gpu_runner.protocol.images.files import few_at_a_time
from jobs.images.input_files import open_image

HALF = 128  # levels from here on are the product


@few_at_a_time
def check_transparency(image: bytes) -> None:
    """With ``is_remove_bg`` False and without a mask, the alpha channel is the product. Raises WireError."""
    lowest, highest = _levels(open_image(image).convert("RGBA").getchannel("A"))
    if lowest >= HALF:
        message = _(
            "is_remove_bg: the image of img_url has no transparent background; send True, or a mask_url."
        )
        raise WireError(Code.PARAMETER, message)
    if highest < HALF:
        raise WireError(Code.IMAGE, _("img_url: the image is transparent everywhere."))


@few_at_a_time
def check_mask(mask: bytes) -> None:
    """Raise WireError for a mask that marks nothing as the product, or everything."""
    rgba = open_image(mask).convert("RGBA")
    alpha = rgba.getchannel("A")
    lowest, highest = _levels(rgba.convert("L") if _levels(alpha) == (255, 255) else alpha)
    if highest < HALF:
        raise WireError(Code.IMAGE, _("mask_url: the mask is black everywhere; the product must be white."))
    if lowest >= HALF:
        raise WireError(Code.IMAGE, _("mask_url: the mask is white everywhere, which leaves no background."))


def _levels(channel: Image.Image) -> tuple[int, int]:
    return cast(tuple[int, int], channel.getextrema())
