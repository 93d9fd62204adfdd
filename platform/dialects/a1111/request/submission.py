"""Convert an A1111 generation request to a submission."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from access.models import AccessKey, BusinessSource
from dialects.a1111.authentication import DIALECT
from dialects.a1111.controlnet.units import read_controls
from dialects.a1111.errors import Unprocessable
from dialects.a1111.options import options
from dialects.a1111.refusals import validation_entries
from dialects.a1111.schema import images
from dialects.a1111.schema.fields import IMG2IMG, TXT2IMG, Field, parse
from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from jobs.admission.submission import Submission
from jobs.models import Lane
from models_registry.selectors import edits_by_instruction

from .detail_passes import with_detail_passes
from .distilled_guidance import apply_distilled_guidance
from .faces import face_restoration
from .hires import hires
from .ignored_fields import warn_about_ignored_parts
from .image_urls import with_fetched_images
from .img2img import img2img, init_files, mask_file
from .infotext_overrides import merge_infotext
from .model_defaults import fill_model_defaults
from .model_selection import model_choice
from .prompts import prompts
from .sampling import noise, sampling
from .sd_upscale import with_sd_upscale
from .unsupported_fields import refuse_unsupported

FIELDS: dict[str, dict[str, Field]] = {"txt2img": TXT2IMG, "img2img": IMG2IMG}
MULTIPLE = 8
MAX_ID_LENGTH = 200
MASKS = ("mask", "latent_mask")
GRID = ("return_grid", "n_rows", "grid_only_if_multiple", "grid_prevent_empty_spots")
MASK_IMAGES = ("return_mask", "return_mask_composite")
LONG_TEXT = 2000  # characters; no setting is longer, and an encoded image always is


@dataclass(frozen=True)
class ParsedRequest:
    """A submission, and the options to store for the key once the job is admitted."""

    submission: Submission
    option_changes: dict[str, Any] = field(default_factory=dict)


def read_request(operation: str, key: AccessKey, body: dict[str, Any], base_url: str) -> ParsedRequest:
    """Parse the body of txt2img or img2img. Writes nothing. Raises Unprocessable or WireError.

    ``base_url``: of this platform, whose own image URLs are read from storage.
    """
    body, ignored_labels = merge_infotext(operation, body, key)
    parameters = parse(FIELDS[operation], body)
    refuse_unsupported(parameters)
    parameters = with_fetched_images(parameters, key.source, base_url)
    settings = _effective_options(key, parameters)
    fill_model_defaults(parameters, body, settings.model_defaults)
    apply_distilled_guidance(parameters, body, settings)
    warn_about_ignored_parts(body, ignored_labels, parameters, settings, key.source)
    image_fields: dict[str, Any] = {}
    files: list[bytes] = []
    mask: bytes | None = None
    if operation == "img2img":
        files, mask = init_files(parameters), mask_file(parameters)
        image_fields = img2img(parameters, settings, files, mask)
    controls = read_controls(parameters, settings, key.source, operation)
    image_fields |= {"controls": controls.units, **_counts(parameters, files)}
    image_fields = with_sd_upscale(image_fields, parameters, files, key.source, settings.fallbacks)
    request = _generation_request(operation, key.source, parameters, settings, image_fields)
    if key.source.strict:
        settings.fallbacks.refuse()
    restores = parameters["override_settings_restore_afterwards"]
    submission = Submission(
        source=key.source,
        key=key,
        dialect=DIALECT,
        operation=operation,
        request=request,
        received=_received(parameters, settings),
        input_files={
            images.sha256(data): data for data in [*files, *([mask] if mask else []), *controls.files]
        },
        lane=Lane.INTERACTIVE,
        external_id=_external_id(parameters),
        styles=tuple(parameters["styles"] or ()),
        init_images_belong_together=len(files) > 1,
    )
    return ParsedRequest(submission, {} if restores else settings.overrides)


def _effective_options(key: AccessKey, parameters: dict[str, Any]) -> options.EffectiveOptions:
    overrides = parameters["override_settings"] or {}
    settings = options.EffectiveOptions(
        key, overrides, restore=bool(parameters["override_settings_restore_afterwards"])
    )
    if parameters["override_settings"]:
        kept = {name: value for name, value in overrides.items() if name not in settings.dropped}
        parameters["override_settings"] = kept
    return settings


def _generation_request(
    operation: str,
    source: BusinessSource,
    parameters: dict[str, Any],
    settings: options.EffectiveOptions,
    image_fields: dict[str, Any],
) -> GenerationRequest:
    sampler, scheduler = sampler_catalog.resolve(
        parameters["sampler_name"] or parameters["sampler_index"], parameters["scheduler"] or ""
    )
    fields = {
        "task": operation,
        "checkpoint": settings["sd_model_checkpoint"] or "",
        "sampler": sampler,
        "scheduler": scheduler,
        "clip_skip": settings.clip_skip,
        **settings.output_file,
        "preview_every": settings.preview_every,
        **prompts(parameters, settings, source),
        **sampling(sampler, parameters, settings),
        **noise(parameters, settings),
        **model_choice(parameters, settings, source),
        "face_restoration": face_restoration(parameters, settings, source),
        **_numbers(parameters),
        **image_fields,
    }
    fields = with_detail_passes(fields, parameters, settings, source)
    fields["hires"] = hires(parameters, settings, source, fields["width"], fields["height"])
    image_guidance = parameters.get(
        "image_cfg_scale"
    )  # without effect on other checkpoints, as in the original
    if image_guidance is not None and edits_by_instruction(fields["checkpoint"], source):
        fields["image_guidance_scale"] = image_guidance
    try:
        return GenerationRequest.model_validate(fields)
    except ValidationError as error:
        raise Unprocessable(validation_entries(error)) from None


def _numbers(parameters: dict[str, Any]) -> dict[str, Any]:
    """Numeric fields of the canonical request. Null means A1111's default."""
    return {
        "num_inference_steps": _or_default(parameters["steps"], 50),
        "guidance_scale": _or_default(parameters["cfg_scale"], 7.0),
        "width": _size(parameters.get("firstphase_width") or _or_default(parameters["width"], 512)),
        "height": _size(parameters.get("firstphase_height") or _or_default(parameters["height"], 512)),
    }


def _or_default(value: Any, default: Any) -> Any:
    return default if value is None else value


def _size(pixels: int) -> int:
    return pixels // MULTIPLE * MULTIPLE


def _counts(parameters: dict[str, Any], files: list[bytes]) -> dict[str, int]:
    """Image count and batch size. Several init images replace batch_size: one image each per batch."""
    size = len(files) if len(files) > 1 else _or_default(parameters["batch_size"], 1)
    batches = _or_default(parameters["n_iter"], 1)
    for name, value in (("batch_size", size), ("n_iter", batches)):
        if value < 1:
            message = "ensure this value is greater than or equal to 1"
            raise Unprocessable.at(("body", name), message, "value_error.number.not_ge", {"limit_value": 1})
    return {"num_images": size * batches, "batch_size": size}


def _external_id(parameters: dict[str, Any]) -> str:
    name = parameters["force_task_id"] or ""
    if len(name) > MAX_ID_LENGTH:
        message = f"ensure this value has at most {MAX_ID_LENGTH} characters"
        context = {"limit_value": MAX_ID_LENGTH}
        raise Unprocessable.at(("body", "force_task_id"), message, "value_error.any_str.max_length", context)
    return name


def _received(parameters: dict[str, Any], settings: options.EffectiveOptions) -> dict[str, Any]:
    """Data from which the response is rendered at any later time. Images are replaced by their SHA-256."""
    return {
        "parameters": {name: _without_images(name, value) for name, value in parameters.items()},
        "enable_pnginfo": settings["enable_pnginfo"],
        "grid": {name: settings[name] for name in GRID},
        "masks": {name: settings[name] for name in MASK_IMAGES},
        "warnings": settings.fallbacks.messages,
    }


def _without_images(name: str, value: Any) -> Any:
    if name.endswith("prompt"):
        return value
    if name == "init_images" and value:
        return [f"sha256:{images.digest(image)}" for image in value]
    if name in MASKS and value:
        return f"sha256:{images.digest(value)}"
    if isinstance(value, str) and len(value) > LONG_TEXT:
        return f"sha256:{images.sha256(value.encode())}"
    if isinstance(value, list):
        return [_without_images("", item) for item in value]
    if isinstance(value, dict):
        return {key: _without_images("", item) for key, item in value.items()}
    return value
