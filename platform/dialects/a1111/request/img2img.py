"""img2img parameters: init images, the mask, and the options that apply to them."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from PIL import ImageColor

from dialects.a1111.errors import Unprocessable, WireError
from dialects.a1111.options.options import EffectiveOptions
from dialects.a1111.schema import images
from gpu_runner.protocol import InputImage

RESIZE_MODES = ("stretch", "crop", "fill", "latent")
MAX_NAME_LENGTH = 100  # maximum length of a name in messages, in characters
CONTENTS = ("fill", "original", "noise", "nothing")


def init_files(parameters: dict[str, Any]) -> list[bytes]:
    encoded = parameters["init_images"]
    limit = 1 if parameters["batch_size"] is None else parameters["batch_size"]
    if encoded is None:
        raise WireError(404, detail="Init image not found")
    if not encoded:
        raise WireError(500, error="IndexError", errors="list index out of range")
    if len(encoded) > max(1, limit):
        message = f"bad number of images passed: {len(encoded)}; expecting {limit} or less"
        raise WireError(500, error="RuntimeError", errors=message)
    return [images.decode(image, f"init_images[{index}]") for index, image in enumerate(encoded)]


def mask_file(parameters: dict[str, Any]) -> bytes | None:
    return images.decode(parameters["mask"], "mask") if parameters["mask"] else None


def img2img(
    parameters: dict[str, Any], settings: EffectiveOptions, files: list[bytes], mask: bytes | None
) -> dict[str, Any]:
    """Fields of the canonical request."""
    init_images = tuple(InputImage(sha256=images.sha256(data)) for data in files)
    batches = 1 if parameters["n_iter"] is None else parameters["n_iter"]
    noise = parameters["initial_noise_multiplier"]
    return {
        "init_images": init_images * batches if len(init_images) > 1 else init_images,
        "strength": parameters["denoising_strength"],
        "resize_mode": _chosen(RESIZE_MODES, parameters, "resize_mode"),
        "background": _background(settings),
        "upscaler": settings["upscaler_for_img2img"] or "",
        "exact_steps": settings["img2img_fix_steps"],
        "initial_noise_multiplier": settings["initial_noise_multiplier"] if noise is None else noise,
        "colour_correction": settings["img2img_color_correction"],
        "inpaint": _inpaint(parameters, settings, mask) if mask else None,
    }


def _inpaint(parameters: dict[str, Any], settings: EffectiveOptions, mask: bytes) -> dict[str, Any]:
    blur = parameters["mask_blur"]
    return {
        "mask": InputImage(sha256=images.sha256(mask)),
        "invert": bool(parameters["inpainting_mask_invert"]),
        "blur_x": blur if blur is not None else parameters["mask_blur_x"] or 0,
        "blur_y": blur if blur is not None else parameters["mask_blur_y"] or 0,
        "rounded": parameters["mask_round"] is not False,
        "content": _chosen(CONTENTS, parameters, "inpainting_fill"),
        "only_masked": parameters["inpaint_full_res"] is not False,
        "padding": parameters["inpaint_full_res_padding"] or 0,
        "overlay": settings["overlay_inpaint"],
        "conditioning_weight": settings["inpainting_mask_weight"],
    }


def _chosen(names: tuple[str, ...], parameters: dict[str, Any], field: str) -> str:
    number = parameters[field] or 0
    if not 0 <= number < len(names):
        permitted = list(range(len(names)))
        message = f"unexpected value; permitted: {', '.join(map(str, permitted))}"
        context = {"given": number, "permitted": permitted}
        raise Unprocessable.at(("body", field), message, "value_error.const", context)
    return names[number]


def _background(settings: EffectiveOptions) -> str:
    name = settings["img2img_background_color"]
    try:
        red, green, blue = ImageColor.getrgb(name)[:3]
    except ValueError:
        location = ("body", "override_settings", "img2img_background_color")
        raise Unprocessable.at(
            location, _("unknown color: %s") % name[:MAX_NAME_LENGTH], "value_error"
        ) from None
    return f"#{red:02x}{green:02x}{blue:02x}"
