"""Convert the parameters of a request to a Submission."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from access.models import AccessKey, BusinessSource
from dialects.stablediffusionapi.authentication import DIALECT
from dialects.stablediffusionapi.endpoints import Endpoint
from dialects.stablediffusionapi.errors import WireError
from dialects.stablediffusionapi.refusals import invalid
from gpu_runner.protocol import GenerationRequest, InputImage
from gpu_runner.protocol.catalogs import upscalers as upscaler_catalog
from jobs.admission.model_choice.defaults import ModelDefaults, defaults_of
from jobs.admission.submission import PREVIEWS_FOR_OPS, Submission, random_seed
from jobs.models import Lane
from jobs.outbound.callbacks.outbox import CallbackRequest
from models_registry.errors import ModelNotFound
from models_registry.models import Kind
from models_registry.selectors import resolve

from . import editing, sizes
from .controlnet import controls
from .fields import SAFETY_TYPES, parse, required
from .images import InputImages, without_content
from .prompts import not_enhanced, prompt_fields, prompt_mode
from .schedulers import DEFAULT, sampling
from .video import video

STEPS = {"v1": 31, "v3": 30, "v4": 31, "v5": 30, "v6": 31}
CONTROLNET_STEPS = {"v1": 30}  # where they are not the edition's
MAX_STEPS = {"v6": 20}
STRENGTH = {"controlnet": 0.55}
DEFAULT_UPSCALE = 3.0
NSFW_THRESHOLD = 0.5
SIZE = {"width", "height"}
# Parameters that a request may leave open, and the fields of the generation request that they set.
OPEN = {
    "num_inference_steps": "num_inference_steps",
    "steps": "num_inference_steps",
    "guidance_scale": "guidance_scale",
    "scheduler": "sampler",
    "use_karras_sigmas": "scheduler",
    "clip_skip": "clip_skip",
    "width": "width",
    "height": "height",
    "negative_prompt": "negative_prompt",
}
IMAGE_FIELDS = ("init_image", "mask_image", "control_image", "url", "image")


def read_submission(
    endpoint: Endpoint, key: AccessKey, given: Mapping[str, Any], base_url: str
) -> Submission:
    """The submission of a request to ``endpoint`` with the parameters ``given``. Raises WireError."""
    values = parse(endpoint, given)
    images = InputImages(key.source, base_url, bare=bool(values["base64"]))
    build = TOOLS.get(endpoint.task, _generation)
    try:
        request = GenerationRequest.model_validate(build(endpoint, key.source, values, images))
    except ValidationError as error:
        raise invalid(error) from None
    mode, is_required = prompt_mode(values, key.source)
    note = not_enhanced(values, key.source)
    return Submission(
        source=key.source,
        key=key,
        dialect=DIALECT,
        operation=endpoint.path,
        request=request,
        received=_received(values) | ({"tip": note} if note else {}),
        input_files=images.files,
        lane=Lane.ASYNC if values["instant_response"] else Lane.INTERACTIVE,
        callback=_callback(values, base_url),
        prompt_mode=mode,
        prompt_mode_required=is_required,
        note=note,
    )


def _generation(
    endpoint: Endpoint, source: BusinessSource, values: dict[str, Any], images: InputImages
) -> dict[str, Any]:
    samples = values["samples"] or 1
    is_community = endpoint.community
    defaults = defaults_of(values["model_id"] or "", source, dialect=DIALECT)
    filled = _model_defaults(endpoint, values, defaults)
    values = values | {name: filled.pop(name) for name in ("negative_prompt",) if name in filled}
    fields = {
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
        **prompt_fields(values, source),
        **sampling(
            values["scheduler"] or DEFAULT,
            karras=_karras(values, is_community),
            algorithm=values["algorithm_type"] or "none",
        ),
        **{name: value for name, value in filled.items() if name not in SIZE},
        **_task(endpoint, source, values, images),
    }
    if endpoint.task == "text2img":
        fields |= {name: value for name, value in filled.items() if name in SIZE}
    fields["prompt"] = defaults.prefixed(fields["prompt"])
    if fields["task"] == "txt2img":
        fields |= _hires(values, source, (fields["width"], fields["height"]))
    return fields


def _model_defaults(endpoint: Endpoint, values: dict[str, Any], defaults: ModelDefaults) -> dict[str, Any]:
    """Defaults of the checkpoint for the parameters that are absent; no side above the vendor's maximum."""
    named = {field for name, field in OPEN.items() if values[name] is not None}
    if defaults.size and max(defaults.size) > sizes.LARGEST:
        named |= SIZE
    filled = defaults.fields(named)
    if "num_inference_steps" in filled:
        most = MAX_STEPS.get(endpoint.edition, filled["num_inference_steps"])
        filled["num_inference_steps"] = min(filled["num_inference_steps"], most)
    return filled


def _steps(endpoint: Endpoint, values: dict[str, Any]) -> int:
    """The number of steps. v6 clamps it instead of refusing it: its documented default is above its maximum."""
    default = STEPS[endpoint.edition]
    if endpoint.task == "controlnet":
        default = CONTROLNET_STEPS.get(endpoint.edition, default)
    steps = values["num_inference_steps"] or values["steps"] or default
    return min(steps, MAX_STEPS.get(endpoint.edition, steps))


def _karras(values: dict[str, Any], is_community: bool) -> bool | None:
    requested: bool | None = values["use_karras_sigmas"]
    return True if requested is None and is_community else requested


def _nsfw(values: dict[str, Any]) -> dict[str, str]:
    if not values["safety_checker"]:
        return {}
    return {"policy": SAFETY_TYPES[values["safety_checker_type"] or "sensitive_content_text"]}


def _faces(values: dict[str, Any]) -> dict[str, Any] | None:
    return {} if values["face_enhance"] else None


def _task(
    endpoint: Endpoint, source: BusinessSource, values: dict[str, Any], images: InputImages
) -> dict[str, Any]:
    if endpoint.task == "controlnet":
        return _controlnet(source, values, images)
    if endpoint.task == "text2img":
        return {"task": "txt2img", **_size(sizes.requested(values))}
    if endpoint.task in editing.TASKS:
        return editing.TASKS[endpoint.task](source, values, images)
    init = images.take("init_image", values["init_image"])
    follows_image = endpoint.community or not (values["width"] and values["height"])
    size = sizes.of_image(values, images.size_of(init)) if follows_image else sizes.requested(values)
    mask = images.take("mask_image", values["mask_image"]) if endpoint.task == "inpaint" else None
    return {**_size(size), **_img2img(values, init, mask, STRENGTH.get(endpoint.task, 0.7))}


def _controlnet(source: BusinessSource, values: dict[str, Any], images: InputImages) -> dict[str, Any]:
    """The control image is ``control_image``, or else ``init_image``.

    With a control image or a mask beside the init image it is img2img, otherwise txt2img.
    """
    init, mask, control = (
        images.take(name, values[name]) if values[name] else None
        for name in ("init_image", "mask_image", "control_image")
    )
    control_image = control or init
    if control_image is None:
        raise WireError.invalid({"init_image": [required("init_image")]})
    task: dict[str, Any] = {"task": "txt2img"}
    if init and (control or mask):
        task = _img2img(values, init, mask, STRENGTH["controlnet"])
    units = controls(values, source, control_image, mask)
    return {**_size(sizes.requested(values)), **task, "controls": units}


def _img2img(
    values: dict[str, Any], init: InputImage, mask: InputImage | None, strength: float
) -> dict[str, Any]:
    return {
        "task": "img2img",
        "init_images": [init],
        "strength": strength if values["strength"] is None else values["strength"],
        "inpaint": {"mask": mask} if mask else None,
    }


def _size(size: sizes.Size) -> dict[str, int]:
    return {"width": size[0], "height": size[1]}


def _hires(values: dict[str, Any], source: BusinessSource, size: sizes.Size) -> dict[str, Any]:
    """``upscale`` doubles the size without denoising; ``highres_fix`` has its first pass at half the size."""
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
    endpoint: Endpoint, source: BusinessSource, values: dict[str, Any], images: InputImages
) -> dict[str, Any]:
    name = "url" if endpoint.task == "super_resolution" else "init_image"
    return {
        "task": "upscale",
        "init_images": [images.take(name, values[name])],
        "upscale": {
            "scale": DEFAULT_UPSCALE if values["scale"] is None else values["scale"],
            "upscaler": upscaler(values["model_id"] or "", source),
        },
        "face_restoration": _faces(values),
    }


def _cut_out(
    endpoint: Endpoint, source: BusinessSource, values: dict[str, Any], images: InputImages
) -> dict[str, Any]:
    return editing.cut_out(values, images)


def _nsfw_check(
    endpoint: Endpoint, source: BusinessSource, values: dict[str, Any], images: InputImages
) -> dict[str, Any]:
    threshold = NSFW_THRESHOLD if values["threshold"] is None else values["threshold"]
    return {
        "task": "analyze",
        "init_images": [images.take("init_image", values["init_image"])],
        "analysis": {"find": "nsfw", "threshold": threshold},
    }


def _caption(
    endpoint: Endpoint, source: BusinessSource, values: dict[str, Any], images: InputImages
) -> dict[str, Any]:
    return {
        "task": "analyze",
        "init_images": [images.take("init_image", values["init_image"])],
        "analysis": {"find": "tags"},
    }


TOOLS = {
    "super_resolution": _upscale,
    "enlarge": _upscale,
    "removebg": _cut_out,
    "text2video": video,
    "img2video": video,
    "nsfw_check": _nsfw_check,
    "caption": _caption,
}


def upscaler(name: str, source: BusinessSource) -> str:
    """The upscaler of a name; for an empty one the registry's default, or Lanczos. Raises WireError."""
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
    """Fields that are stored with the job, because its responses repeat them. Images are kept in storage instead."""
    given = {name: value for name, value in values.items() if value is not None}
    return given | {name: without_content(given[name]) for name in IMAGE_FIELDS if name in given}
