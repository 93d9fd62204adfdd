"""The extras routes: enlarging pictures, one or many, as a job like any other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from access.models import AccessKey, BusinessSource
from dialects.a1111.authentication import DIALECT
from dialects.a1111.errors import Invalid, Location, Unprocessable, WireError
from dialects.a1111.options import options
from dialects.a1111.refusals import bounds_as_on_the_wire
from dialects.a1111.schema import images as pictures
from dialects.a1111.schema.coercion import (
    Coercion,
    array,
    boolean,
    integer,
    mapping,
    not_null,
    number,
    string,
)
from dialects.a1111.schema.fields import Field, parse
from gpu_runner.protocol import GenerationRequest, Picture, upscaler_catalog
from jobs.admission.submission import Submission
from jobs.models import Lane
from models_registry.errors import ModelNotFound
from models_registry.models import Kind
from models_registry.selectors import resolve

from .faces import by_visibility
from .image_urls import followed

SINGLE, BATCH = "extra-single-image", "extra-batch-images"


def _at_least(least: int) -> Coercion:
    def read(value: Any) -> int:
        found = integer(value)
        if found < least:
            message = f"ensure this value is greater than or equal to {least}"
            raise Invalid(message, "value_error.number.not_ge", {"limit_value": least})
        return found

    return read


def share(value: Any) -> float:
    found = number(value)
    for limit, is_passed, words, kind in (
        (0, found < 0, "greater than or equal to", "ge"),
        (1, found > 1, "less than or equal to", "le"),
    ):
        if is_passed:
            message, context = f"ensure this value is {words} {limit}", {"limit_value": limit}
            raise Invalid(message, f"value_error.number.not_{kind}", context)
    return found


def factor(value: Any) -> float:
    found = number(value)
    if found <= 0:
        raise Invalid("ensure this value is greater than 0", "value_error.number.not_gt", {"limit_value": 0})
    return found


def mode(value: Any) -> int:
    if value not in (0, 1):
        context = {"given": value, "permitted": [0, 1]}
        raise Invalid("unexpected value; permitted: 0, 1", "value_error.const", context)
    return int(value)


def _field(coerce: Callable[[Any], Any], default: Any) -> Field:
    return Field(coerce, default, nullable=False)


FIELDS: dict[str, Field] = {
    "resize_mode": _field(mode, 0),
    "show_extras_results": _field(boolean, True),
    "gfpgan_visibility": _field(share, 0.0),
    "codeformer_visibility": _field(share, 0.0),
    "codeformer_weight": _field(share, 0.0),
    "upscaling_resize": _field(factor, 2.0),
    "upscaling_resize_w": _field(_at_least(1), 512),
    "upscaling_resize_h": _field(_at_least(1), 512),
    "upscaling_crop": _field(boolean, True),
    "upscaler_1": _field(string, upscaler_catalog.NONE),
    "upscaler_2": _field(string, upscaler_catalog.NONE),
    "extras_upscaler_2_visibility": _field(share, 0.0),
    "upscale_first": _field(boolean, False),  # without effect in the original too
}
IMAGE = {"image": _field(string, "")}
LISTED = ("data", "name")
WIRE_NAMES = {"num_images": "imageList"}


def read_submission(operation: str, key: AccessKey, body: dict[str, Any]) -> Submission:
    """Raises Unprocessable or WireError."""
    parameters = parse(FIELDS, body)
    images = [parse(IMAGE, body)["image"]] if operation == SINGLE else _listed(body)
    files = [pictures.decode(image) for image in followed({"image": images}, key.source)["image"]]
    settings = options.EffectiveOptions(key, {}, restore=True)
    return Submission(
        source=key.source,
        key=key,
        dialect=DIALECT,
        operation=operation,
        request=_request(parameters, files, settings, key.source),
        received={"parameters": parameters},
        pictures={pictures.sha256(data): data for data in files},
        lane=Lane.INTERACTIVE,
    )


def _listed(body: dict[str, Any]) -> list[str]:
    """The pictures of ``imageList``. Raises Unprocessable with all that is wrong."""
    place: Location = ("body", "imageList")
    if "imageList" not in body:
        raise Unprocessable([MISSING.at(place)])
    try:
        items = array(not_null(body["imageList"]))
    except Invalid as error:
        raise Unprocessable([error.at(place)]) from None
    if not items:
        raise Unprocessable.at(
            place, "ensure this value has at least 1 items", "value_error.list.min_items", {"limit_value": 1}
        )
    read: list[str] = []
    wrong: list[dict[str, Any]] = []
    for index, item in enumerate(items):
        try:
            listed = mapping(not_null(item))
        except Invalid as error:
            wrong.append(error.at((*place, index)))
            continue
        for name in LISTED:
            try:
                text = _needed_text(listed, name)
            except Invalid as error:
                wrong.append(error.at((*place, index, name)))
            else:
                read += [text] if name == "data" else []
    if wrong:
        raise Unprocessable(wrong)
    return read


MISSING = Invalid("field required", "value_error.missing")


def _needed_text(item: dict[str, Any], name: str) -> str:
    if name not in item:
        raise MISSING
    return string(not_null(item[name]))


def _request(
    parameters: dict[str, Any], files: list[bytes], settings: options.EffectiveOptions, source: BusinessSource
) -> GenerationRequest:
    wanted = {
        "task": "upscale",
        "init_images": tuple(Picture(sha256=pictures.sha256(data)) for data in files),
        "num_images": len(files),
        "checkpoint": settings["sd_model_checkpoint"] or "",
        **settings.output_file,
        "upscale": _upscale(parameters, source),
        "face_restoration": by_visibility(parameters, source),
    }
    try:
        return GenerationRequest.model_validate(wanted)
    except ValidationError as error:
        raise Unprocessable(bounds_as_on_the_wire(error)) from None


def _upscale(parameters: dict[str, Any], source: BusinessSource) -> dict[str, Any]:
    to_size = parameters["resize_mode"] == 1
    size = {side: parameters[f"upscaling_resize_{side[0]}"] for side in ("width", "height")}
    return {
        **(size if to_size else {"scale": parameters["upscaling_resize"]}),
        "crop": parameters["upscaling_crop"],
        "upscaler": _upscaler(parameters["upscaler_1"], source),
        "upscaler_2": _upscaler(parameters["upscaler_2"], source),
        "upscaler_2_visibility": parameters["extras_upscaler_2_visibility"],
    }


def _upscaler(name: str, source: BusinessSource) -> str:
    if name in upscaler_catalog.BUILT_IN:
        return name
    try:
        return resolve(Kind.UPSCALER, name or "\0", source).name
    except ModelNotFound:
        message = f"could not find upscaler named {name}"
        raise WireError(500, error="AssertionError", errors=message) from None
