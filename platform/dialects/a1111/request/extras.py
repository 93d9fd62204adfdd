"""Parse requests of the extras routes (upscaling of one or several images)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from access.models import AccessKey, BusinessSource
from dialects.a1111.authentication import DIALECT
from dialects.a1111.errors import Invalid, Location, Unprocessable, WireError
from dialects.a1111.options import options
from dialects.a1111.refusals import validation_entries
from dialects.a1111.schema import images
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
from gpu_runner.protocol import GenerationRequest, InputImage
from gpu_runner.protocol.catalogs import upscalers as upscaler_catalog
from jobs.admission.submission import Submission
from jobs.models import Lane
from models_registry.errors import ModelNotFound
from models_registry.models import Kind
from models_registry.selectors import resolve

from .faces import by_visibility
from .image_urls import with_fetched_images

SINGLE, BATCH = "extra-single-image", "extra-batch-images"


def _at_least(minimum: int) -> Coercion:
    def read(value: Any) -> int:
        found = integer(value)
        if found < minimum:
            message = f"ensure this value is greater than or equal to {minimum}"
            raise Invalid(message, "value_error.number.not_ge", {"limit_value": minimum})
        return found

    return read


def share(value: Any) -> float:
    found = number(value)
    for limit, is_outside, relation, kind in (
        (0, found < 0, "greater than or equal to", "ge"),
        (1, found > 1, "less than or equal to", "le"),
    ):
        if is_outside:
            message, context = f"ensure this value is {relation} {limit}", {"limit_value": limit}
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
    "upscale_first": _field(boolean, False),  # has no effect in the original either
}
IMAGE = {"image": _field(string, "")}
ITEM_FIELDS = ("data", "name")
WIRE_NAMES = {"num_images": "imageList"}


def read_submission(operation: str, key: AccessKey, body: dict[str, Any], base_url: str) -> Submission:
    """Parse the body of an extras request. Raises Unprocessable or WireError."""
    parameters = parse(FIELDS, body)
    read = _single_file if operation == SINGLE else _files
    files = read(body, key.source, base_url)
    settings = options.EffectiveOptions(key, {}, restore=True)
    return Submission(
        source=key.source,
        key=key,
        dialect=DIALECT,
        operation=operation,
        request=_request(parameters, files, settings, key.source),
        received={"parameters": parameters},
        input_files={images.sha256(data): data for data in files},
        lane=Lane.INTERACTIVE,
    )


def _single_file(body: dict[str, Any], source: BusinessSource, base_url: str) -> list[bytes]:
    fetched = with_fetched_images(parse(IMAGE, body), source, base_url)
    return [images.decode(fetched["image"], "image")]


def _files(body: dict[str, Any], source: BusinessSource, base_url: str) -> list[bytes]:
    listed = {"imageList": [{"data": text} for text in _image_list(body)]}
    fetched = with_fetched_images(listed, source, base_url)
    items = enumerate(fetched["imageList"])
    return [images.decode(item["data"], f"imageList[{index}].data") for index, item in items]


def _image_list(body: dict[str, Any]) -> list[str]:
    """Images of ``imageList``. Raises Unprocessable with all errors found."""
    location: Location = ("body", "imageList")
    if "imageList" not in body:
        raise Unprocessable([MISSING.at(location)])
    try:
        items = array(not_null(body["imageList"]))
    except Invalid as error:
        raise Unprocessable([error.at(location)]) from None
    if not items:
        raise Unprocessable.at(
            location,
            "ensure this value has at least 1 items",
            "value_error.list.min_items",
            {"limit_value": 1},
        )
    read: list[str] = []
    errors: list[dict[str, Any]] = []
    for index, item in enumerate(items):
        try:
            entry = mapping(not_null(item))
        except Invalid as error:
            errors.append(error.at((*location, index)))
            continue
        for name in ITEM_FIELDS:
            try:
                text = _required_text(entry, name)
            except Invalid as error:
                errors.append(error.at((*location, index, name)))
            else:
                read += [text] if name == "data" else []
    if errors:
        raise Unprocessable(errors)
    return read


MISSING = Invalid("field required", "value_error.missing")


def _required_text(item: dict[str, Any], name: str) -> str:
    if name not in item:
        raise MISSING
    return string(not_null(item[name]))


def _request(
    parameters: dict[str, Any], files: list[bytes], settings: options.EffectiveOptions, source: BusinessSource
) -> GenerationRequest:
    fields = {
        "task": "upscale",
        "init_images": tuple(InputImage(sha256=images.sha256(data)) for data in files),
        "num_images": len(files),
        "checkpoint": settings["sd_model_checkpoint"] or "",
        **settings.output_file,
        "upscale": _upscale(parameters, source),
        "face_restoration": by_visibility(parameters, source),
    }
    try:
        return GenerationRequest.model_validate(fields)
    except ValidationError as error:
        raise Unprocessable(validation_entries(error)) from None


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
