"""From a request of this API to a submission."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from access.models import AccessKey, BusinessSource
from dialects.stablediffusionapi.authentication import DIALECT
from dialects.stablediffusionapi.endpoints import Endpoint
from dialects.stablediffusionapi.errors import WireError
from dialects.stablediffusionapi.refusals import invalid
from gpu_runner.protocol import GenerationRequest, Picture, upscaler_catalog
from jobs.admission.submission import PREVIEWS_FOR_OPS, Submission, random_seed
from jobs.models import Lane
from jobs.outbound.callbacks.outbox import CallbackRequest
from models_registry.errors import ModelNotFound
from models_registry.models import Kind
from models_registry.selectors import resolve

from . import sizes
from .controlnet import controls
from .fields import SAFETY_TYPES, parse, required
from .images import Pictures, shown
from .prompts import words
from .schedulers import DEFAULT, sampling

STEPS = {"v3": 30, "v4": 31, "v5": 30, "v6": 31}
MOST_STEPS = {"v6": 20}
STRENGTH = {"controlnet": 0.55}
UPSCALE = 3.0
PICTURES = ("init_image", "mask_image", "control_image", "url")


def read_submission(
    endpoint: Endpoint, key: AccessKey, given: Mapping[str, Any], base_url: str
) -> Submission:
    """Raises WireError for whatever cannot become one."""
    values = parse(endpoint, given)
    pictures = Pictures(key.source, base_url, bare=bool(values["base64"]))
    build = _upscale if endpoint.task == "super_resolution" else _generation
    try:
        request = GenerationRequest.model_validate(build(endpoint, key.source, values, pictures))
    except ValidationError as error:
        raise invalid(error) from None
    return Submission(
        source=key.source,
        key=key,
        dialect=DIALECT,
        operation=endpoint.path,
        request=request,
        received=_received(values),
        pictures=pictures.files,
        lane=Lane.ASYNC if values["instant_response"] else Lane.INTERACTIVE,
        callback=_callback(values, base_url),
    )


def _generation(
    endpoint: Endpoint, source: BusinessSource, values: dict[str, Any], pictures: Pictures
) -> dict[str, Any]:
    samples = values["samples"] or 1
    is_community = endpoint.community
    wanted = {
        "checkpoint": values["model_id"] or "",
        "vae": values["vae"] or "",
        "clip_skip": values["clip_skip"] or (2 if is_community else 1),
        "tiling": bool(values["panorama"]),
        "guidance_scale": 7.5 if values["guidance_scale"] is None else values["guidance_scale"],
        "num_images": samples,
        "batch_size": samples,
        "num_inference_steps": _steps(endpoint, values),
        "seed": random_seed() if values["seed"] is None else values["seed"],
        "nsfw": _nsfw(values),
        "face_restoration": _faces(values),
        "preview_every": PREVIEWS_FOR_OPS,
        **words(values, source),
        **sampling(
            values["scheduler"] or DEFAULT,
            karras=_karras(values, is_community),
            algorithm=values["algorithm_type"] or "none",
        ),
        **_pictures(endpoint, source, values, pictures),
    }
    if wanted["task"] == "txt2img":
        wanted |= _second_pass(values, source, (wanted["width"], wanted["height"]))
    return wanted


def _steps(endpoint: Endpoint, values: dict[str, Any]) -> int:
    """The newest edition names a range that its own default is out of: what is above is brought down, not refused."""
    asked = values["num_inference_steps"] or values["steps"] or STEPS[endpoint.edition]
    return min(asked, MOST_STEPS.get(endpoint.edition, asked))


def _karras(values: dict[str, Any], is_community: bool) -> bool | None:
    asked: bool | None = values["use_karras_sigmas"]
    return True if asked is None and is_community else asked


def _nsfw(values: dict[str, Any]) -> dict[str, str]:
    if not values["safety_checker"]:
        return {}
    return {"policy": SAFETY_TYPES[values["safety_checker_type"] or "sensitive_content_text"]}


def _faces(values: dict[str, Any]) -> dict[str, Any] | None:
    return {} if values["face_enhance"] else None


def _pictures(
    endpoint: Endpoint, source: BusinessSource, values: dict[str, Any], pictures: Pictures
) -> dict[str, Any]:
    if endpoint.task == "controlnet":
        return _controlled(source, values, pictures)
    if endpoint.task == "text2img":
        return {"task": "txt2img", **_size(sizes.asked(values))}
    init = pictures.take("init_image", values["init_image"])
    follows = endpoint.community or not (values["width"] and values["height"])
    size = sizes.of_picture(values, pictures.size_of(init)) if follows else sizes.asked(values)
    mask = pictures.take("mask_image", values["mask_image"]) if endpoint.task == "inpaint" else None
    return {**_size(size), **_from_picture(values, init, mask, STRENGTH.get(endpoint.task, 0.7))}


def _controlled(source: BusinessSource, values: dict[str, Any], pictures: Pictures) -> dict[str, Any]:
    """The init image is what controls, until there is a control image beside it, or a mask that says what to redraw."""
    init, mask, control = (
        pictures.take(name, values[name]) if values[name] else None
        for name in ("init_image", "mask_image", "control_image")
    )
    shown_to_control = control or init
    if shown_to_control is None:
        raise WireError.invalid({"init_image": [required("init_image")]})
    begin: dict[str, Any] = {"task": "txt2img"}
    if init and (control or mask):
        begin = _from_picture(values, init, mask, STRENGTH["controlnet"])
    units = controls(values, source, shown_to_control, mask)
    return {**_size(sizes.asked(values)), **begin, "controls": units}


def _from_picture(
    values: dict[str, Any], init: Picture, mask: Picture | None, strength: float
) -> dict[str, Any]:
    return {
        "task": "img2img",
        "init_images": [init],
        "strength": strength if values["strength"] is None else values["strength"],
        "inpaint": {"mask": mask} if mask else None,
    }


def _size(size: sizes.Size) -> dict[str, int]:
    return {"width": size[0], "height": size[1]}


def _second_pass(values: dict[str, Any], source: BusinessSource, size: sizes.Size) -> dict[str, Any]:
    """``upscale`` doubles what was drawn; ``highres_fix`` draws small first, and again at the full size."""
    if not values["upscale"] and not values["highres_fix"]:
        return {}
    first, second = (size, sizes.doubled(size)) if values["upscale"] else (sizes.half(size), size)
    hires = {
        **_size(second),
        "upscaler": upscaler("", source),
        "strength": 0.7 if values["highres_fix"] else 0.0,
    }
    return {**_size(first), "hires": hires}


def _upscale(
    endpoint: Endpoint, source: BusinessSource, values: dict[str, Any], pictures: Pictures
) -> dict[str, Any]:
    return {
        "task": "upscale",
        "init_images": [pictures.take("url", values["url"])],
        "upscale": {
            "scale": UPSCALE if values["scale"] is None else values["scale"],
            "upscaler": upscaler(values["model_id"] or "", source),
        },
        "face_restoration": _faces(values),
    }


def upscaler(name: str, source: BusinessSource) -> str:
    """The registry's default one where none is named, and Lanczos where it has none."""
    try:
        return resolve(Kind.UPSCALER, name, source).name
    except ModelNotFound:
        if not name:
            return upscaler_catalog.LANCZOS
        raise WireError(400, f"Model not found: {name}") from None


def _callback(values: dict[str, Any], base_url: str) -> CallbackRequest | None:
    if not values["webhook"]:
        return None
    return CallbackRequest(values["webhook"], extra={"track_id": values["track_id"]}, base_url=base_url)


def _received(values: dict[str, Any]) -> dict[str, Any]:
    """What the answer is written from, whenever it is asked for. Pictures are in storage, never in here."""
    given = {name: value for name, value in values.items() if value is not None}
    return given | {name: shown(given[name]) for name in PICTURES if name in given}
