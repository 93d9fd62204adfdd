"""Checks at admission that an image tells where the product is, which its job would find out too late."""

from __future__ import annotations

import io
from typing import cast

from django.utils.translation import gettext as _
from PIL import Image

from dialects.smzdm.errors import Code, WireError

HALF = 128  # levels from here on are the product


def check_transparency(image: bytes) -> None:
    """With ``is_remove_bg`` False and without a mask, the alpha channel is the product. Raises WireError."""
    with Image.open(io.BytesIO(image)) as opened:
        alpha = opened.convert("RGBA").getchannel("A")
    lowest, highest = _extremes(alpha)
    if lowest >= HALF:
        message = _(
            "is_remove_bg: the image of img_url has no transparent background; send True, or a mask_url."
        )
        raise WireError(Code.PARAMETER, message)
    if highest < HALF:
        raise WireError(Code.IMAGE, _("img_url: the image is transparent everywhere."))


def check_mask(mask: bytes) -> None:
    """Raise WireError for a mask that marks nothing as the product, or everything."""
    with Image.open(io.BytesIO(mask)) as opened:
        rgba = opened.convert("RGBA")
    alpha = rgba.getchannel("A")
    levels = rgba.convert("L") if alpha.getextrema() == (255, 255) else alpha
    lowest, highest = _extremes(levels)
    if highest < HALF:
        raise WireError(Code.IMAGE, _("mask_url: the mask is black everywhere; the product must be white."))
    if lowest >= HALF:
        raise WireError(Code.IMAGE, _("mask_url: the mask is white everywhere, which leaves no background."))


def _extremes(levels: Image.Image) -> tuple[int, int]:
    """The lowest and the highest level of an image of one channel."""
    lowest, highest = cast("tuple[int, int]", levels.getextrema())
    return lowest, highest
