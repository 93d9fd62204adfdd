"""Fields of image editing, by task, beside those that every endpoint has. Some of the latter have other limits there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dialects.stablediffusionapi.coercion import (
    Coercion,
    Invalid,
    between,
    flag,
    integer,
    is_absent,
    names,
    number,
    text,
)
from dialects.stablediffusionapi.endpoints import Endpoint

# The vendor's examples say "back".
DIRECTIONS = ("left", "right", "up", "down", "backward", "back")
LARGEST_UNCROPPED = 1440
MAX_TRANSLATION = 512
MAX_OVERLAP = 42

Fields = dict[str, Coercion]


def _walk(value: Any) -> list[str]:
    directions = [name.lower() for name in names(value)]
    if any(name not in DIRECTIONS for name in directions):
        raise Invalid(f"must have items of: {', '.join(DIRECTIONS)}.")
    return directions


IMAGE: Fields = {"image": text}
OUTPAINT: Fields = {
    **IMAGE,
    "walk_type": _walk,
    "width_translation_per_step": between(integer, 0, MAX_TRANSLATION),
    "height_translation_per_step": between(integer, 0, MAX_TRANSLATION),
    "translation_factor": between(number, 0, 0.5),
    "num_interpolation_steps": between(integer, 0, 120),
    "as_video": flag,
    "fps": between(integer, 1, 120),
}
EDITING: dict[str, Fields] = {
    "removebg": {
        **IMAGE,
        "alpha_matting": flag,
        "alpha_matting_foreground_threshold": between(integer, 0, 255),
        "alpha_matting_background_threshold": between(integer, 0, 255),
        "alpha_matting_erode_size": between(integer, 0, 255),
        "post_process_mask": flag,
        "only_mask": flag,
        "inverse_mask": flag,
    },
    "enlarge": {},
    "outpaint": OUTPAINT,
    "uncrop": {
        **OUTPAINT,
        "width": between(integer, 64, LARGEST_UNCROPPED),
        "height": between(integer, 64, LARGEST_UNCROPPED),
        "overlap_width": between(integer, 0, MAX_OVERLAP),
    },
    "mixture_canvas": {
        **IMAGE,
        **{f"pos_{side}": between(integer, 0, LARGEST_UNCROPPED) for side in ("x1", "x2", "y1", "y2")},
        "mix_factor": between(number, 0, 1),
    },
    "edit_inpaint": {},
    "object_removal": {},
    "pix2pix": {"image_guidance_scale": between(number, 0, 20)},
    "magic_mix": {
        **IMAGE,
        "kmin": between(number, 0, 1),
        "kmax": between(number, 0, 1),
        "mix_factor": between(number, 0, 1),
    },
    "depth2img": {},
    "interior": {},
    "nsfw_check": {"threshold": between(number, 0, 1)},
}
REQUIRED: dict[str, tuple[str, ...]] = {
    "removebg": ("image",),
    "enlarge": ("init_image",),
    "outpaint": ("prompt", "image"),
    "uncrop": ("image",),
    "mixture_canvas": ("prompt", "image"),
    "edit_inpaint": ("prompt", "init_image", "mask_image"),
    "object_removal": ("init_image", "mask_image"),
    "pix2pix": ("prompt", "init_image"),
    "magic_mix": ("prompt", "image"),
    "depth2img": ("prompt", "init_image"),
    "interior": ("prompt", "init_image"),
    "nsfw_check": ("init_image",),
}
IMAGE_NAMES = ("image", "init_image", "url")


def under_documented_names(endpoint: Endpoint, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters with the image under its documented name: clients send that of another endpoint, too."""
    if endpoint.task not in EDITING:
        return given
    (documented,) = set(REQUIRED[endpoint.task]) & set(IMAGE_NAMES)
    sent = [name for name in (documented, *IMAGE_NAMES) if not is_absent(given.get(name))]
    return {**given, documented: given[sent[0]]} if sent else given
