"""Convert the body of a request to a Submission."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from pydantic import ValidationError

from access.models import AccessKey, BusinessSource
from access.source_settings.prompt_modes import PromptMode
from dialects.ark.authentication import DIALECT
from dialects.ark.errors import NO_MODEL, ArkError
from dialects.input_images import InputImages, stored_form
from gpu_runner.protocol import GenerationRequest, InputImage
from gpu_runner.protocol.catalogs import upscalers as upscaler_catalog
from gpu_runner.protocol.request_parts.outputs import Label
from jobs.admission.model_choice.defaults import of_checkpoint
from jobs.admission.model_choice.lora_tags import with_tagged_loras
from jobs.admission.submission import PREVIEWS_FOR_OPS, Submission, random_seed
from jobs.images.labels.explicit import override_warning
from jobs.models import Lane
from models_registry.errors import ModelNotFound, ModelUnusable
from models_registry.family_facts import takes_references
from models_registry.models import Kind, ModelFile
from models_registry.native_size import native_size
from models_registry.selectors import names_of_rules, resolve

from .fields import MAX_INPUT_IMAGES, MAX_OUTPUT_IMAGES, ImageRequest
from .sizes import Size, first_pass, requested_size

SIZE = {"width", "height"}  # set below; the default size is the checkpoint's native one
OPERATION = "images/generations"
# The vendor writes the same words into the same corner.
WATERMARK = Label(text="AI生成", corner="bottom-right", opacity=0.6)
STEPS = 20  # unless source or key may have less
EDIT_STRENGTH = 0.75  # of the change of an input image
REFINE_STRENGTH = 0.5  # of the second pass of a large image


def read_submission(key: AccessKey, fields: ImageRequest, base_url: str) -> Submission:
    """The submission of a request. Images are fetched last. Raises ArkError or Refused."""
    _check_supported(fields)
    checkpoint = _checkpoint(fields.model, key.source)
    images = InputImages(key.source, base_url)
    images.fetch_at_most(MAX_INPUT_IMAGES)
    texts = fields.image_texts
    sent = tuple(
        images.take(f"image[{n}]" if len(texts) > 1 else "image", text) for n, text in enumerate(texts)
    )
    request = _request(fields, key, checkpoint, _Input.of(sent, images))
    return Submission(
        source=key.source,
        key=key,
        dialect=DIALECT,
        operation=OPERATION,
        request=with_tagged_loras(request, key.source, dialect=DIALECT),
        received=_received(fields, sent),
        model=fields.model,
        edits=bool(sent),
        input_files=images.files,
        lane=Lane.INTERACTIVE,
        note=watermark_warning(fields, key.source, request),
        prompt_mode=_prompt_mode(fields, key.source),
        prompt_mode_required=False,  # the vendor does not promise it: without a text model, a note says so
    )


def watermark_warning(fields: ImageRequest, source: BusinessSource, request: GenerationRequest) -> str:
    """What the response to ``watermark: false`` says if the source's label is drawn all the same."""
    return override_warning(source, request, "watermark=false") if fields.watermark is False else ""


@dataclass(frozen=True)
class _Input:
    """The image to edit, or several to look at; the size is that of the first one."""

    references: tuple[InputImage, ...]
    size: Size

    @classmethod
    def of(cls, references: tuple[InputImage, ...], images: InputImages) -> _Input | None:
        return cls(references, Size(*images.size_of(references[0]))) if references else None


def _check_supported(fields: ImageRequest) -> None:
    """Raise ArkError for what the vendor has and this platform has not, by name."""
    if fields.layer_decomposition:
        raise ArkError.invalid("layer_decomposition", _("layer_decomposition is not supported"))
    if fields.tools:
        raise ArkError.invalid("tools", _("tools must be empty: there is no web search"))
    _check_counts(fields)


def _check_counts(fields: ImageRequest) -> None:
    count = len(fields.image_texts)
    if count > MAX_INPUT_IMAGES:
        message = _("image: at most %(limit)d images (got %(count)d)")
        raise ArkError.invalid("image", message % {"limit": MAX_INPUT_IMAGES, "count": count})
    param = "sequential_image_generation_options.max_images"
    most = fields.sequential_image_generation_options.max_images or 1
    if fields.sequential_image_generation == "disabled" and most > 1:
        message = _("%(field)s must be 1 unless sequential_image_generation is auto (got %(count)d)")
        raise ArkError.invalid(param, message % {"field": param, "count": most})
    if count + fields.num_images > MAX_OUTPUT_IMAGES:  # the vendor's rule
        message = _("%(field)s and the images sent must be at most %(limit)d together")
        raise ArkError.invalid(param, message % {"field": param, "limit": MAX_OUTPUT_IMAGES})


def _checkpoint(name: str, source: BusinessSource) -> ModelFile:
    try:
        is_of_rule = name in names_of_rules(source, DIALECT)
        return resolve(Kind.CHECKPOINT, "" if is_of_rule else name, source, dialect=DIALECT)
    except ModelUnusable as error:
        raise ArkError.invalid("model", f"model: {error}") from None
    except ModelNotFound:
        message = _("The model or endpoint %(name)s does not exist or you do not have access to it.")
        raise ArkError(404, NO_MODEL, message % {"name": name[:100]}, param="model") from None


def _request(
    fields: ImageRequest, key: AccessKey, checkpoint: ModelFile, image: _Input | None
) -> GenerationRequest:
    _check_image_guidance(fields, checkpoint)
    native = Size(*native_size(checkpoint))
    size = requested_size(fields.size, native, fields.prompt, image.size if image else None)
    defaults = of_checkpoint(checkpoint, key.source, key)
    given: dict[str, Any] = {
        **defaults.fields(SIZE),
        # The name of a workflow rule has chosen a template, and no checkpoint.
        "checkpoint": "" if fields.model in names_of_rules(key.source, DIALECT) else checkpoint.name,
        "prompt": defaults.prefixed(fields.prompt),
        "num_inference_steps": defaults.steps or defaults.limited(STEPS),
        "num_images": fields.num_images,
        "batch_size": fields.num_images,
        "seed": random_seed() if fields.seed < 0 else fields.seed,
        "output_format": _output_format(fields),
        "cut_out": {} if fields.background == "transparent" else None,
        "labels": [WATERMARK] if fields.watermark else [],
        "preview_every": PREVIEWS_FOR_OPS,
        **({} if fields.guidance_scale is None else {"guidance_scale": fields.guidance_scale}),
        **(_img2img(fields, checkpoint, image, size) if image else _txt2img(key.source, size, native)),
    }
    try:
        return GenerationRequest.model_validate(given)
    except ValidationError as error:
        raise ArkError.of_validation(error) from None


def _check_image_guidance(fields: ImageRequest, checkpoint: ModelFile) -> None:
    if fields.image_guidance_scale is None or (checkpoint.instruct and fields.image_texts):
        return
    message = _("image_guidance_scale needs an image, and a checkpoint that edits by instruction")
    raise ArkError.invalid("image_guidance_scale", message)


def _img2img(fields: ImageRequest, checkpoint: ModelFile, image: _Input, size: Size) -> dict[str, Any]:
    """An InstructPix2Pix checkpoint keeps the image by its guidance, one that reads references by looking at it, any other
    one by the strength.

    Several images are for checkpoints that read references, or for a workflow template.
    """
    if len(image.references) > 1:
        return {"images": image.references, **size._asdict()}
    return {
        "task": "img2img",
        "init_images": image.references,
        "resize_mode": "crop",
        "strength": 1.0 if checkpoint.instruct or takes_references(checkpoint) else EDIT_STRENGTH,
        "image_guidance_scale": fields.image_guidance_scale,
        **size._asdict(),
    }


def _txt2img(source: BusinessSource, size: Size, native: Size) -> dict[str, Any]:
    """One pass, or two: at the checkpoint's own area, then refined at the size asked for."""
    first = first_pass(size, native)
    if first is None:
        return size._asdict()
    hires = {**size._asdict(), "upscaler": _upscaler(source), "strength": REFINE_STRENGTH}
    return {**first._asdict(), "hires": hires}


def _upscaler(source: BusinessSource) -> str:
    try:
        return resolve(Kind.UPSCALER, "", source).name
    except ModelNotFound:
        return upscaler_catalog.LANCZOS


def _output_format(fields: ImageRequest) -> str:
    if fields.background == "opaque":
        return fields.output_format or "jpeg"
    if fields.output_format == "jpeg":
        message = _("output_format must be png for a transparent background")
        raise ArkError.invalid("output_format", message)
    return "png"


def _prompt_mode(fields: ImageRequest, source: BusinessSource) -> PromptMode | None:
    """What the text model does with the prompt; None for the setting of the source."""
    if fields.optimizes_prompt:
        return PromptMode.EXPAND
    is_declined = fields.optimizes_prompt is False and source.prompt_mode_of(DIALECT) == PromptMode.EXPAND
    return PromptMode.TRANSLATE if is_declined else None


def _received(fields: ImageRequest, images: tuple[InputImage, ...]) -> dict[str, Any]:
    """The fields as sent, without the content of images."""
    given = fields.model_dump(mode="json", exclude_unset=True)
    stored = [stored_form(text, image) for text, image in zip(fields.image_texts, images, strict=True)]
    if stored:
        given["image"] = stored[0] if len(stored) == 1 else stored
    return given
