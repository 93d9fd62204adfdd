"""Image editing: the fields of the GenerationRequest by task."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext as _

from access.models import BusinessSource
from dialects.stablediffusionapi.authentication import DIALECT
from dialects.stablediffusionapi.errors import WireError
from gpu_runner.protocol import InputImage
from gpu_runner.protocol.images.working_size import working_size
from jobs.images import outpaint_canvas
from jobs.images.input_files import MASK_THRESHOLD, mask_levels
from jobs.images.outpaint_canvas import Box, Expanded
from models_registry.selectors import instruct_checkpoint, leads_to_template, reads_references

from . import sizes
from .controlnet import controls
from .images import InputImages

Fields = dict[str, Any]
Values = dict[str, Any]

MAX_GENERATED_SIDE = 1024  # pixels; larger generations tend to repeat the subject
BLEND = 8  # pixels of the image's edge that are generated together with the area beyond it
REMOVAL_EXPANSION = -4  # pixels around the removed object that are generated too
MAX_CUT_OUT = 4  # images of one request
UNCROPPED_SIZE, CANVAS_SIZE = (1280, 720), (800, 360)
MAGIC_MIX_SIDE = 768
TRANSLATION = 32  # pixels
INTERIOR_CONTROL = "canny"


def cut_out(values: Values, images: InputImages) -> Fields:
    """removebg_mask. ``image`` may have several URLs, separated by commas."""
    urls = re.split(r",\s*(?=https?://)", values["image"], flags=re.IGNORECASE)
    if len(urls) > MAX_CUT_OUT:
        raise WireError.invalid({"image": [f"The image must not have more than {MAX_CUT_OUT} items."]})
    return {
        "task": "cut_out",
        "init_images": tuple(images.take("image", url) for url in urls),
        "num_images": len(urls),
        "cut_out": {
            "mask_only": bool(values["only_mask"]),
            "invert": bool(values["inverse_mask"]),
            "post_process_mask": bool(values["post_process_mask"]),
            "alpha_matting": _alpha_matting(values) if values["alpha_matting"] else None,
        },
    }


def _alpha_matting(values: Values) -> Fields:
    defaults = {"foreground_threshold": 240, "background_threshold": 20, "erode_size": 5}
    given = {name: values[f"alpha_matting_{name}"] for name in defaults}
    return defaults | {name: value for name, value in given.items() if value is not None}


def _inpaint(source: BusinessSource, values: Values, images: InputImages) -> Fields:
    init = images.take("init_image", values["init_image"])
    return {
        **_img2img(values, images, init, strength=0.7),
        **_steps(values, 30, guidance=5),
        "inpaint": {"mask": images.take("mask_image", values["mask_image"])},
    }


def _object_removal(source: BusinessSource, values: Values, images: InputImages) -> Fields:
    """The object is replaced by what surrounds it; the other pixels are kept exactly."""
    init = images.take("init_image", values["init_image"])
    mask = images.take("mask_image", values["mask_image"])
    _check_mask(images.files[mask.sha256])
    return {
        **_repaint(init, mask, images.size_of(init), expansion=REMOVAL_EXPANSION),
        **_steps(values, 25, guidance=7),
    }


def _check_mask(mask: bytes) -> None:
    """Raises WireError for a mask that marks nothing, or everything."""
    darkest, brightest = mask_levels(mask)
    if brightest < MASK_THRESHOLD:
        message = _("The mask is black everywhere; what is to be removed must be white.")
        raise WireError.invalid({"mask_image": [message]})
    if darkest >= MASK_THRESHOLD:
        message = _("The mask is white everywhere, which keeps nothing of the image.")
        raise WireError.invalid({"mask_image": [message]})


def _outpaint(source: BusinessSource, values: Values, images: InputImages) -> Fields:
    """The image moves in its frame by every direction of the walk; what comes into the frame is generated."""
    image = images.take("image", values["image"])
    size = (
        sizes.requested(values)
        if values["width"] or values["height"]
        else sizes.of_image(values, images.size_of(image))
    )
    box = _walked(size, values["walk_type"] or ["backward"], _translation(values, size))
    return {
        **_framed(images, image, size, box, BLEND),
        **_steps(values, 20, guidance=8),
    }


def _translation(values: Values, size: sizes.Size) -> tuple[float, float]:
    """Pixels per step of the walk, to the side and up or down."""
    across, down = values["width_translation_per_step"], values["height_translation_per_step"]
    factor = values["translation_factor"]
    if factor is not None and (across is None or down is None):
        return size[0] * factor, size[1] * factor
    return TRANSLATION if across is None else across, TRANSLATION if down is None else down


def _walked(size: sizes.Size, walk: list[str], translation: tuple[float, float]) -> Box:
    """Where the image is in the frame at the end of the walk: left, top, right, bottom. Raises WireError."""
    across, down = translation
    left, top, right, bottom = 0.0, 0.0, float(size[0]), float(size[1])
    for step in walk:
        if step in ("left", "right"):
            moved = across if step == "left" else -across
            left, right = left + moved, right + moved
        elif step in ("up", "down"):
            moved = down if step == "up" else -down
            top, bottom = top + moved, bottom + moved
        else:
            left, right = (_nearer(side, size[0], across) for side in (left, right))
            top, bottom = (_nearer(side, size[1], down) for side in (top, bottom))
    return round(left), round(top), round(right), round(bottom)


def _nearer(position: float, side: int, margin: float) -> float:
    """The position after a step backward, which adds ``margin`` at both sides."""
    scale = max(0.0, side - 2 * margin) / side
    return side / 2 + (position - side / 2) * scale


def _uncrop(source: BusinessSource, values: Values, images: InputImages) -> Fields:
    """The image in the middle of a canvas of the given size. With a walk, as in v5."""
    if values["walk_type"]:
        return _outpaint(source, values, images)
    image = images.take("image", values["image"])
    size = _canvas_size(values, UNCROPPED_SIZE)
    overlap = 10 if values["overlap_width"] is None else values["overlap_width"]
    return {
        **_framed(images, image, size, _centered(images.size_of(image), size), overlap),
        **_steps(values, 10, guidance=8),
        "prompt": values["prompt"] or "high quality",
        "negative_prompt": "low quality" if values["negative_prompt"] is None else values["negative_prompt"],
    }


def _mixture_canvas(source: BusinessSource, values: Values, images: InputImages) -> Fields:
    """The image at its position on a canvas, which is filled by the prompt."""
    image = images.take("image", values["image"])
    size = _canvas_size(values, CANVAS_SIZE)
    given = [values[f"pos_{side}"] for side in ("x1", "y1", "x2", "y2")]
    box = _centered(images.size_of(image), size)
    if any(side is not None for side in given):
        defaults = (0, 0, *size)
        sides = [default if side is None else side for side, default in zip(given, defaults, strict=True)]
        box = sides[0], sides[1], sides[2], sides[3]
        for start, end, limit, axis in ((box[0], box[2], size[0], "x"), (box[1], box[3], size[1], "y")):
            if not start < end <= limit:
                message = _("pos_%(axis)s1 must be less than pos_%(axis)s2, which must be at most %(limit)d.")
                raise WireError.invalid({f"pos_{axis}2": [message % {"axis": axis, "limit": limit}]})
    return {**_framed(images, image, size, box, BLEND), **_steps(values, 20, guidance=8)}


def _canvas_size(values: Values, default: sizes.Size) -> sizes.Size:
    return values["width"] or default[0], values["height"] or default[1]


def _centered(size: sizes.Size, frame: sizes.Size) -> Box:
    """The box of an image that is enlarged or reduced to fit into the middle of a frame."""
    scale = min(frame[0] / size[0], frame[1] / size[1])
    width, height = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    left, top = (frame[0] - width) // 2, (frame[1] - height) // 2
    return left, top, left + width, top + height


def _framed(images: InputImages, image: InputImage, size: sizes.Size, box: Box, blend: int) -> Fields:
    """Generate the part of a frame that the image, stretched to the box, leaves open. Raises WireError."""
    try:
        frame: Expanded = outpaint_canvas.framed(images.files[image.sha256], size, box)
    except outpaint_canvas.NothingToGenerate:
        raise WireError.invalid(
            {"image": [_("The image fills the whole frame: nothing is left to generate.")]}
        ) from None
    except outpaint_canvas.NothingKept:
        raise WireError.invalid(
            {"image": [_("The image leaves the frame: nothing of it is left.")]}
        ) from None
    images.drop(image)
    return _repaint(
        images.add(frame.canvas), images.add(frame.mask), size, expansion=-blend, feather=min(blend, BLEND)
    )


def _repaint(
    init: InputImage, mask: InputImage, size: sizes.Size, *, expansion: int, feather: int = 2
) -> Fields:
    """Generate the white part of the mask; the output has the size (width, height)."""
    width, height = working_size(*size, min(max(size), MAX_GENERATED_SIDE))
    return {
        "task": "change_background",
        "init_images": (init,),
        "change_background": {
            "mask": mask,
            "mask_invert": True,
            "mask_expansion": expansion,
            "feather": feather,
            "content": "fill",
            "output_width": size[0],
            "output_height": size[1],
        },
        "width": width,
        "height": height,
        "strength": 1.0,
        "exact_steps": True,
    }


def _pix2pix(source: BusinessSource, values: Values, images: InputImages) -> Fields:
    """Edits the image as the prompt says, by an InstructPix2Pix checkpoint, one that reads references, or a template."""
    has_template = leads_to_template(source, DIALECT, "edit")
    checkpoint = values["model_id"] or ("" if has_template else instruct_checkpoint(source))
    if not checkpoint and not has_template:
        message = _("pix2pix needs an InstructPix2Pix checkpoint, and the registry has none.")
        raise WireError.invalid({"model_id": [message]})
    scale = values["image_guidance_scale"]
    has_no_scale = scale is None and reads_references(values["model_id"], source)
    return {
        **_img2img(values, images, images.take("init_image", values["init_image"]), strength=1.0),
        **_steps(values, 50, guidance=7),
        "checkpoint": checkpoint,
        **({} if has_no_scale else {"image_guidance_scale": 1.0 if scale is None else scale}),
    }


def _magic_mix(source: BusinessSource, values: Values, images: InputImages) -> Fields:
    kmin, kmax, factor = (
        default if values[name] is None else values[name]
        for name, default in (("kmin", 0.3), ("kmax", 0.5), ("mix_factor", 0.5))
    )
    if kmin > kmax:
        raise WireError.invalid({"kmin": [_("The kmin must not be greater than the kmax.")]})
    image = images.take("image", values["image"])
    size = {name: values[name] or MAGIC_MIX_SIDE for name in ("width", "height")}
    return {
        **_img2img(values | size, images, image, strength=kmax),
        **_steps(values, 20, guidance=7.5),
        "strength": kmax,
        "magic_mix": {"kmin": kmin, "mix_factor": factor},
    }


def _depth2img(source: BusinessSource, values: Values, images: InputImages) -> Fields:
    """The depth of the image is kept, by a ControlNet."""
    return _controlled(source, values, images, "depth", strength=0.8)


def _interior(source: BusinessSource, values: Values, images: InputImages) -> Fields:
    """The lines of the room are kept, by a ControlNet: of ``controlnet_type``, or else canny."""
    fields = _controlled(source, values, images, INTERIOR_CONTROL, strength=0.99)
    return {**fields, **_steps(values, 50, guidance=8)}


def _controlled(
    source: BusinessSource, values: Values, images: InputImages, kind: str, strength: float
) -> Fields:
    image = images.take("init_image", values["init_image"])
    if not (values["controlnet_model"] or values["controlnet_type"]):
        values = values | {"controlnet_type": [kind]}
    return {
        **_img2img(values, images, image, strength=strength),
        "controls": controls(values, source, image, None),
    }


def _img2img(values: Values, images: InputImages, init: InputImage, *, strength: float) -> Fields:
    """img2img of the requested size, or else of the image's."""
    has_size = values["width"] and values["height"]
    size = sizes.requested(values) if has_size else sizes.of_image(values, images.size_of(init))
    return {
        "task": "img2img",
        "init_images": (init,),
        "width": size[0],
        "height": size[1],
        "strength": strength if values["strength"] is None else values["strength"],
    }


def _steps(values: Values, steps: int, *, guidance: float) -> Fields:
    """Number of steps and guidance scale, or the defaults of the task."""
    return {
        "num_inference_steps": values["num_inference_steps"] or values["steps"] or steps,
        "guidance_scale": guidance if values["guidance_scale"] is None else values["guidance_scale"],
    }


TASKS: dict[str, Callable[[BusinessSource, Values, InputImages], Fields]] = {
    "edit_inpaint": _inpaint,
    "object_removal": _object_removal,
    "outpaint": _outpaint,
    "uncrop": _uncrop,
    "mixture_canvas": _mixture_canvas,
    "pix2pix": _pix2pix,
    "magic_mix": _magic_mix,
    "depth2img": _depth2img,
    "interior": _interior,
}
