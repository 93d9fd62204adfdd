"""The script "SD upscale" of img2img: its arguments, and what they change in the canonical request."""

from __future__ import annotations

import math
from typing import Any

from django.utils.translation import gettext as _

from access.models import BusinessSource
from dialects.a1111.errors import Invalid, Location, Unprocessable
from dialects.a1111.options.fallback_warnings import FallbackWarnings
from dialects.a1111.schema.coercion import integer, number, string
from gpu_runner.protocol.catalogs.upscalers import BUILT_IN, NONE
from jobs.images.input_files import read_size
from models_registry.models import Kind
from models_registry.selectors import names_for

SD_UPSCALE = "sd upscale"
MULTIPLE = 8
ARGUMENTS: Location = ("body", "script_args")
DEFAULTS: tuple[Any, ...] = (None, 64, 0, 2.0)  # the first is a text of the page
SCALES = (1.0, 4.0)


def with_sd_upscale(
    fields: dict[str, Any],
    parameters: dict[str, Any],
    files: list[bytes],
    source: BusinessSource,
    fallbacks: FallbackWarnings,
) -> dict[str, Any]:
    """Return the image fields of the request with those of the script, if it is selected. Raises Unprocessable."""
    if str(parameters["script_name"] or "").lower() != SD_UPSCALE:
        return fields
    for name, is_used in (("mask", parameters["mask"]), ("alwayson_scripts", fields["controls"])):
        if is_used:
            raise Unprocessable.unsupported(("body", name), _("not supported together with SD upscale"))
    given: list[Any] = parameters["script_args"]
    _unused, overlap, upscaler, scale = [*given[: len(DEFAULTS)], *DEFAULTS[len(given) :]]
    if len(files) > 1:
        fallbacks.add(("body", "init_images"), _("SD upscale uses the first image only"))
    name = _upscaler(upscaler, source)
    width, height = read_size(files[0])
    factor = 1.0 if name == NONE else _scale(scale)
    tiled = {
        "width": width if name == NONE else int(width * factor) // MULTIPLE * MULTIPLE,
        "height": height if name == NONE else int(height * factor) // MULTIPLE * MULTIPLE,
        "upscaler": name,
        "overlap": _argument(1, integer, overlap),
        "tiles_per_seed": parameters["batch_size"] or 1,
    }
    batches = 1 if parameters["n_iter"] is None else parameters["n_iter"]
    return fields | {
        "tiled": tiled,
        "init_images": fields["init_images"][:1],
        "num_images": batches,
        "batch_size": 1,
    }


def _argument(index: int, coerce: Any, value: Any) -> Any:
    try:
        return coerce(value)
    except Invalid as error:
        raise Unprocessable([error.at((*ARGUMENTS, index))]) from None


def _scale(value: Any) -> float:
    scale: float = _argument(3, number, value)
    if not SCALES[0] <= scale <= SCALES[1] or not math.isfinite(scale):
        message = _("the scale factor must be from %(lowest)g to %(highest)g") % {
            "lowest": SCALES[0],
            "highest": SCALES[1],
        }
        raise Unprocessable.at((*ARGUMENTS, 3), message, "value_error")
    return scale


def _upscaler(value: Any, source: BusinessSource) -> str:
    """Name of an upscaler, from its name in any case or its position in ``GET /upscalers``."""
    names = [*BUILT_IN, *sorted(names_for(Kind.UPSCALER, source), key=str.lower)]
    if isinstance(value, str):
        for name in names:
            if name.lower() == value.lower():
                return name
    else:
        index = _argument(2, integer, value)
        if 0 <= index < len(names):
            return names[index]
    message = _("unknown upscaler: %s") % _argument(2, string, value)[:100]
    raise Unprocessable.at((*ARGUMENTS, 2), message, "value_error")
