"""Convert the fields of a request to a Submission."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from pydantic import ValidationError

from access.models import AccessKey
from dialects.input_images import InputImages, stored_form
from dialects.openai.authentication import DIALECT
from dialects.openai.errors import APIError
from gpu_runner.protocol import GenerationRequest, InputImage
from gpu_runner.protocol.generation_request import MAX_REFERENCES
from jobs.admission.model_choice.defaults import ModelDefaults, of_checkpoint
from jobs.admission.model_choice.lora_tags import with_tagged_loras
from jobs.admission.submission import PREVIEWS_FOR_OPS, Submission, random_seed
from jobs.models import Lane
from models_registry.errors import ModelNotFound
from models_registry.family_facts import takes_references
from models_registry.models import Kind, ModelFile
from models_registry.selectors import names_of_rules, resolve, styles_for

from .fields import STEP_FACTORS, EditFields, GenerationFields, ImageFields, VariationFields
from .masks import check_mask
from .sizes import default_size, requested_size

GENERATIONS, EDITS, VARIATIONS = "generations", "edits", "variations"
VENDOR_NAMES = re.compile(r"(?:gpt-image|dall-e|chatgpt-image)(?:-[\w.-]*)?", re.ASCII)
STEPS = 20
STRENGTHS = {"high": 0.55, "low": 0.75}  # by input_fidelity
FAITHFUL_IMAGE_GUIDANCE = 2.0  # input_fidelity "high" of instruction editing; the default is 1.5
VARIATION_STRENGTH = 0.6
LIKE_DALL_E = re.compile(r"dall-e(?:-[\w.-]*)?", re.ASCII)


def read_submission(
    key: AccessKey, operation: str, fields: ImageFields, files: Mapping[str, list[bytes]], base_url: str
) -> Submission:
    """The submission of a request. Images are fetched last. Raises APIError or Refused."""
    _check_combinations(fields)
    size = requested_size(fields.size)
    checkpoint, is_named, warnings = _checkpoint(key, fields.model)
    defaults = of_checkpoint(checkpoint, key.source, key)
    prompts, style_warning = _prompts(key, fields, defaults)
    images = InputImages(key.source, base_url)
    steps = fields.steps or _steps(fields, defaults)
    received = fields.model_dump(mode="json", by_alias=True, exclude_unset=True)
    request: dict[str, Any] = {
        "checkpoint": checkpoint.name
        if is_named
        else "",  # so that a workflow template may have one of its own
        **prompts,
        "num_images": fields.n,
        "batch_size": fields.n,
        "num_inference_steps": steps,
        "seed": random_seed() if fields.seed in (None, -1) else fields.seed,
        "clip_skip": fields.clip_skip or defaults.clip_skip or 1,
        "loras": [
            {"name": lora.name, "unet": lora.weight, "text_encoder": lora.weight} for lora in fields.loras
        ],
        "output_format": fields.output_format,
        "preview_every": _preview_every(fields, steps),
    }
    given = {
        "sampler": fields.sampler,
        "scheduler": fields.scheduler,
        "guidance_scale": fields.guidance_scale,
    }
    given = {name: value for name, value in given.items() if value not in (None, "")}
    named = {*given, *request}
    request |= given | defaults.fields({*named, "width", "height"})
    if fields.output_compression is not None:
        request["output_quality"] = max(1, fields.output_compression)
    if fields.background == "transparent":
        request["cut_out"] = {}
    image_size = None
    if isinstance(fields, EditFields | VariationFields):
        part, image, notes = _edited(fields, files, images, received, checkpoint)
        request |= part
        warnings += notes
        image_size = images.size_of(image)
    request["width"], request["height"] = size or default_size(checkpoint, key, image_size)
    try:
        generation = GenerationRequest.model_validate(request)
    except ValidationError as error:
        raise APIError.of_fields(error) from None
    warnings = [warning for warning in (*warnings, style_warning) if warning]
    return Submission(
        source=key.source,
        key=key,
        dialect=DIALECT,
        operation=operation,
        request=with_tagged_loras(generation, key.source, dialect=DIALECT),
        model=fields.model or "",
        edits=isinstance(fields, EditFields) and generation.inpaint is None,
        received={**received, "response_format": response_format(fields), "warnings": warnings},
        input_files=images.files,
        lane=Lane.ASYNC if fields.is_async else Lane.INTERACTIVE,
        end_user=fields.end_user,
        note="; ".join(warnings),
    )


def _steps(fields: ImageFields, defaults: ModelDefaults) -> int:
    """Steps of the quality. Only those of the checkpoint are kept within the limits of source and key."""
    steps = max(1, round((defaults.steps or STEPS) * STEP_FACTORS[fields.answered_quality]))
    return defaults.limited(steps) if defaults.steps else steps


def response_format(fields: ImageFields) -> str:
    """``b64_json`` as the vendor's current models, ``url`` as the DALL·E models, which clients rely on."""
    if fields.response_format:
        return fields.response_format
    is_url = not fields.stream and LIKE_DALL_E.fullmatch(fields.model or "")
    return "url" if is_url else "b64_json"


def _check_combinations(fields: ImageFields) -> None:
    if fields.background == "transparent" and fields.output_format == "jpeg":
        message = _("A transparent background needs output_format png or webp: jpeg has no transparency.")
        raise APIError.invalid("background", message)
    if fields.output_compression is not None and fields.output_format == "png":
        raise APIError.invalid("output_compression", _("output_compression is for jpeg and webp only."))
    if fields.partial_images and not fields.stream:
        raise APIError.invalid("partial_images", _("partial_images needs stream: true."))
    if fields.stream and fields.is_async:
        raise APIError.invalid("stream", _("stream and async exclude each other."))
    if fields.stream and fields.response_format == "url":
        raise APIError.invalid("response_format", _("The events of a stream have b64_json only."))


def _checkpoint(key: AccessKey, name: str | None) -> tuple[ModelFile, bool, list[str]]:
    """The checkpoint of the field ``model``, and whether the request names it. Raises APIError.

    A warning says if it stands in for one of the vendor. A name of a workflow rule stands for its template.
    """
    source = key.source
    is_of_rule = bool(name) and name in names_of_rules(source, DIALECT)
    try:
        return resolve(Kind.CHECKPOINT, name or "", source, dialect=DIALECT), bool(name), []
    except ModelNotFound as error:
        if not is_of_rule and (not name or not VENDOR_NAMES.fullmatch(name) or source.strict):
            raise APIError.unknown_model(str(error)) from None
    try:
        default = resolve(Kind.CHECKPOINT, "", source, dialect=DIALECT)
    except ModelNotFound as error:
        raise APIError.unknown_model(str(error)) from None
    if is_of_rule:
        return default, False, []
    words = {"name": name, "used": default.name}
    return default, False, [_("%(name)s is not a model of this server: %(used)s was used") % words]


def _prompts(key: AccessKey, fields: ImageFields, defaults: ModelDefaults) -> tuple[dict[str, str], str]:
    """The prompts, with the prompt style of the field ``style``; a warning if there is none of that name."""
    prompt = fields.prompt if isinstance(fields, GenerationFields) else ""
    is_named = "negative_prompt" in fields.model_fields_set
    negative, warning = fields.negative_prompt if is_named else defaults.negative_prompt, ""
    if fields.style:
        style = styles_for(key.source).filter(name=fields.style).first()
        if style:
            prompt, negative = style.apply(prompt, negative)
        else:
            words = {"style": fields.style}
            warning = _("style %(style)s has no effect: there is no prompt style of that name") % words
    return {"prompt": defaults.prefixed(prompt), "negative_prompt": negative}, warning


def _preview_every(fields: ImageFields, steps: int) -> int:
    return max(1, steps // (fields.partial_images + 1)) if fields.partial_images else PREVIEWS_FOR_OPS


def _edited(
    fields: EditFields | VariationFields,
    files: Mapping[str, list[bytes]],
    images: InputImages,
    received: dict[str, Any],
    checkpoint: ModelFile,
) -> tuple[dict[str, Any], InputImage, list[str]]:
    """Fields of an img2img request, its image, and warnings. ``received`` gets what the job stores of the images."""
    count = len(files.get("image", ())) + len(fields.image or ())
    if not count:
        message = _("Missing required parameter: '%(param)s'.") % {"param": "image"}
        raise APIError.invalid("image", message, "missing_required_parameter")
    if count > 1:
        return _with_references(fields, files, images, received, count)
    image = _image("image", files, (fields.image or [""])[0], images, received)
    request: dict[str, Any] = {"task": "img2img", "init_images": [image], "resize_mode": "crop"}
    if isinstance(fields, VariationFields):
        return request | {"strength": VARIATION_STRENGTH}, image, []
    if len(files.get("mask", ())) + bool(fields.mask) > 1:
        raise APIError.invalid("mask", _("Only one mask can be sent."))
    if not files.get("mask") and not fields.mask:
        if checkpoint.instruct:
            return request | _by_instruction(fields.input_fidelity), image, []
        if takes_references(checkpoint):
            notes = [_("input_fidelity has no effect with this model")] if fields.input_fidelity else []
            return request | {"strength": 1.0}, image, notes
        return request | {"strength": STRENGTHS[fields.input_fidelity or "low"]}, image, []
    mask = _image("mask", files, fields.mask or "", images, received)
    check_mask(images.files[mask.sha256], images.size_of(image))
    inpaint = {"mask": mask, "invert": True}  # its alpha channel is 0 where the image is drawn anew
    notes = [_("input_fidelity has no effect with a mask")] if fields.input_fidelity else []
    return request | {"strength": 1.0, "inpaint": inpaint}, image, notes


def _with_references(
    fields: EditFields | VariationFields,
    files: Mapping[str, list[bytes]],
    images: InputImages,
    received: dict[str, Any],
    count: int,
) -> tuple[dict[str, Any], InputImage, list[str]]:
    """Fields of a request with several images, which editing models and workflow templates take. The first one decides
    the size.
    """
    words = {"count": count, "limit": MAX_REFERENCES}
    if isinstance(fields, VariationFields):
        raise APIError.invalid("image", _("Only one image can be varied (got %(count)d).") % words)
    if count > MAX_REFERENCES:
        raise APIError.invalid("image", _("At most %(limit)d images can be sent (got %(count)d).") % words)
    if files.get("mask") or fields.mask:
        raise APIError.invalid("mask", _("A mask needs exactly one image (got %(count)d).") % words)
    images.fetch_at_most(MAX_REFERENCES)
    uploaded = [images.add(f"image[{n}]", data) for n, data in enumerate(files.get("image", ()))]
    texts = list(fields.image or ())
    linked = [images.take(f"image[{n}]", text) for n, text in enumerate(texts, len(uploaded))]
    sent = [*uploaded, *linked]
    received["image"] = [
        *(stored_form("", image) for image in uploaded),
        *(stored_form(text, image) for text, image in zip(texts, linked, strict=True)),
    ]
    return {"images": sent}, sent[0], []


def _by_instruction(input_fidelity: str | None) -> dict[str, Any]:
    """Fields for an InstructPix2Pix checkpoint, whose prompt says what to change."""
    guidance = {"image_guidance_scale": FAITHFUL_IMAGE_GUIDANCE} if input_fidelity == "high" else {}
    return {"strength": 1.0, **guidance}


def _image(
    name: str, files: Mapping[str, list[bytes]], text: str, images: InputImages, received: dict[str, Any]
) -> InputImage:
    image = images.add(name, files[name][0]) if files.get(name) else images.take(name, text)
    received[name] = stored_form(text, image)
    return image
