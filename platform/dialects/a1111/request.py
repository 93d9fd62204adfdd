"""From A1111's generation request to a submission."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError

from access.models import AccessKey
from gpu_runner import catalogue
from gpu_runner.protocol import GenerationRequest, Picture
from jobs.admission import Submission, random_seed
from jobs.models import Lane

from . import options, pictures
from .authentication import DIALECT
from .errors import Unprocessable, WireError
from .fields import IMG2IMG, TXT2IMG, Field, parse
from .limits import bounds_as_on_the_wire
from .unsupported import refuse_unsupported

FIELDS: dict[str, dict[str, Field]] = {"txt2img": TXT2IMG, "img2img": IMG2IMG}
RESIZE_MODES = ("stretch", "crop", "fill")
MULTIPLE = 8
MAX_ID = 200
LONG_TEXT = 2000  # no setting is longer; a picture always is
COMMENT_LINE = re.compile(r"(^|\n)#[^\n]*(\n|$)")
COMMENT = re.compile(r"#[^\n]*(\n|$)")


def read_submission(operation: str, key: AccessKey, body: dict[str, Any]) -> Submission:
    """Raises Unprocessable or WireError for whatever cannot become one."""
    parameters = parse(FIELDS[operation], body)
    refuse_unsupported(parameters)
    settings = _snapshot(key, parameters)
    files = _init_files(parameters) if operation == "img2img" else []
    request = _generation_request(operation, parameters, settings, files)
    if not parameters["override_settings_restore_afterwards"]:
        options.store(key, settings.overrides)
    return Submission(
        source=key.source,
        key=key,
        dialect=DIALECT,
        operation=operation,
        request=request,
        received=_received(parameters, settings),
        pictures={pictures.sha256(data): data for data in files},
        lane=Lane.INTERACTIVE,
        external_id=_external_id(parameters),
    )


def _snapshot(key: AccessKey, parameters: dict[str, Any]) -> options.Snapshot:
    overrides = parameters["override_settings"] or {}
    settings = options.Snapshot(
        key, overrides, restore=bool(parameters["override_settings_restore_afterwards"])
    )
    if parameters["override_settings"]:
        kept = {name: value for name, value in overrides.items() if name not in settings.dropped}
        parameters["override_settings"] = kept
    return settings


def _generation_request(
    operation: str, parameters: dict[str, Any], settings: options.Snapshot, files: list[bytes]
) -> GenerationRequest:
    sampler, scheduler = catalogue.resolve(
        parameters["sampler_name"] or parameters["sampler_index"], parameters["scheduler"] or ""
    )
    wanted = {
        "task": operation,
        "checkpoint": settings["sd_model_checkpoint"] or "",
        "sampler": sampler,
        "scheduler": scheduler,
        "eta": _eta(sampler, parameters["eta"], settings),
        "seed": _seed(parameters["seed"]),
        "clip_skip": settings["CLIP_stop_at_last_layers"],
        "output_format": settings.output_format,
        "preview_every": settings.preview_every,
        **_prompts(parameters, settings),
        **_numbers(parameters),
        **_counts(parameters, files),
        **_img2img(parameters, files),
    }
    try:
        return GenerationRequest.model_validate(wanted)
    except ValidationError as error:
        raise Unprocessable(bounds_as_on_the_wire(error)) from None


def _prompts(parameters: dict[str, Any], settings: options.Snapshot) -> dict[str, str]:
    prompts = {name: parameters[name] or "" for name in ("prompt", "negative_prompt")}
    if settings["enable_prompt_comments"]:
        return {name: COMMENT.sub("\n", COMMENT_LINE.sub("\n", text)) for name, text in prompts.items()}
    return prompts


def _numbers(parameters: dict[str, Any]) -> dict[str, Any]:
    """What has a number in A1111 when null has its default."""
    return {
        "num_inference_steps": _given(parameters["steps"], 50),
        "guidance_scale": _given(parameters["cfg_scale"], 7.0),
        "width": _size(parameters.get("firstphase_width") or _given(parameters["width"], 512)),
        "height": _size(parameters.get("firstphase_height") or _given(parameters["height"], 512)),
    }


def _given(value: Any, default: Any) -> Any:
    return default if value is None else value


def _size(pixels: int) -> int:
    return pixels // MULTIPLE * MULTIPLE


def _counts(parameters: dict[str, Any], files: list[bytes]) -> dict[str, int]:
    """Several init images are drawn once each per batch, however large the batch was to be."""
    size = len(files) if len(files) > 1 else _given(parameters["batch_size"], 1)
    batches = _given(parameters["n_iter"], 1)
    for name, value in (("batch_size", size), ("n_iter", batches)):
        if value < 1:
            message = "ensure this value is greater than or equal to 1"
            raise Unprocessable.at(("body", name), message, "value_error.number.not_ge", {"limit_value": 1})
    return {"num_images": size * batches, "batch_size": size}


def _img2img(parameters: dict[str, Any], files: list[bytes]) -> dict[str, Any]:
    if not files:
        return {}
    shown = tuple(Picture(sha256=pictures.sha256(data)) for data in files)
    return {
        "init_images": shown * _given(parameters["n_iter"], 1) if len(shown) > 1 else shown,
        "strength": parameters["denoising_strength"],
        "resize_mode": RESIZE_MODES[parameters["resize_mode"] or 0],
    }


def _init_files(parameters: dict[str, Any]) -> list[bytes]:
    images = parameters["init_images"]
    most = _given(parameters["batch_size"], 1)
    if images is None:
        raise WireError(404, detail="Init image not found")
    if not images:
        raise WireError(500, error="IndexError", errors="list index out of range")
    if len(images) > max(1, most):
        message = f"bad number of images passed: {len(images)}; expecting {most} or less"
        raise WireError(500, error="RuntimeError", errors=message)
    return [pictures.decode(image) for image in images]


def _eta(sampler: str, asked: float | None, settings: options.Snapshot) -> float | None:
    default = catalogue.sampler(sampler).default_eta
    if default is None:  # eta means nothing to it
        return None
    option = "eta_ddim" if sampler.startswith("DDIM") else "eta_ancestral"
    return _given(asked, settings[option])


def _seed(seed: int | None) -> int:
    return random_seed() if seed in (None, -1) else int(seed or 0)


def _external_id(parameters: dict[str, Any]) -> str:
    name = parameters["force_task_id"] or ""
    if len(name) > MAX_ID:
        message = f"ensure this value has at most {MAX_ID} characters"
        context = {"limit_value": MAX_ID}
        raise Unprocessable.at(("body", "force_task_id"), message, "value_error.any_str.max_length", context)
    return name


def _received(parameters: dict[str, Any], settings: options.Snapshot) -> dict[str, Any]:
    """What the answer is written from, whenever it is asked for. Pictures are in storage, never in here."""
    return {
        "parameters": {name: _without_pictures(name, value) for name, value in parameters.items()},
        "subseed": _seed(parameters["subseed"]),
        "enable_pnginfo": settings["enable_pnginfo"],
        "return_grid": settings["return_grid"],
        "warnings": settings.warnings,
    }


def _without_pictures(name: str, value: Any) -> Any:
    if name.endswith("prompt"):
        return value
    if name == "init_images" and value:
        return [f"sha256:{pictures.sha256(pictures.decode(image))}" for image in value]
    if isinstance(value, str) and len(value) > LONG_TEXT:
        return f"sha256:{pictures.sha256(value.encode())}"
    if isinstance(value, list):
        return [_without_pictures("", item) for item in value]
    if isinstance(value, dict):
        return {key: _without_pictures("", item) for key, item in value.items()}
    return value
