"""Convert a request body to a Submission. Fields that the request omits come from its style preset."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from pydantic import ValidationError

from access.models import AccessKey, BusinessSource
from dialects.volcengine.authentication import DIALECT
from dialects.volcengine.errors import ServiceError
from gpu_runner.protocol import MAX_SEED, GenerationRequest
from jobs.admission.model_choice.defaults import defaults_of
from jobs.admission.model_choice.lora_tags import refuse_tags
from jobs.admission.submission import PREVIEWS_FOR_OPS, Submission, random_seed
from jobs.models import Lane
from models_registry.family_facts import family_facts
from models_registry.models import StylePreset
from models_registry.selectors import preset_for

from .controlnet import read_controls
from .images import ImageFile, read_images
from .inpainting import SIDES, inpainting, outpainting
from .json_body import Body
from .loras import read_loras
from .sizes import img2img_size, txt2img_size
from .watermarks import logo_warning, read_labels, read_marks

PAY_PER_USE_SUFFIX = "_usage"
PROMPT_FIELDS = ("prompt", "positive_prompt", "custom_prompt", "text")
# Fields that are stored with the job. Unknown fields are ignored, as in the original API.
STORED_FIELDS = (
    "req_key",
    "sub_req_key",
    *PROMPT_FIELDS,
    "u_prompt",
    "strength",
    "seed",
    "scale",
    "ddim_steps",
    "steps",
    "lora_multipers",
    "lora_map",
    "clip_skip",
    "canny_weight",
    "controlnet_weight",
    "i2i_keep_texture",
    "long_resolution",
    "width",
    "height",
    *SIDES,
    "max_width",
    "max_height",
    "id_scale",
    "return_url",
    "logo_info",
    "aigc_meta",
)


def read_submission(
    key: AccessKey, action: str, body: Body, *, lane: Lane, external_id: str, base_url: str
) -> Submission:
    """The submission of a request. Raises ServiceError, or Refused if an image URL cannot be fetched.

    ``base_url``: of this platform, whose own image URLs are read from storage.
    """
    preset = find_preset(key, body)
    return build_submission(
        preset,
        key.source,
        body,
        operation=action,
        lane=lane,
        key=key,
        external_id=external_id,
        base_url=base_url,
    )


def build_submission(
    preset: StylePreset,
    source: BusinessSource,
    body: Body,
    *,
    operation: str,
    lane: Lane,
    key: AccessKey | None = None,
    external_id: str = "",
    base_url: str = "",
) -> Submission:
    """The submission of a request with a known preset. Raises the same errors as ``read_submission``."""
    note = _face_identity(body, source)
    prompt = _prompt(preset, body)
    refuse_tags(prompt, "")
    task_fields, sent, stored = _task(preset, body, source, base_url)
    fields = {
        **_models(preset, body),
        **_sampling(preset, body),
        **_prompts(preset, prompt, body.text("u_prompt"), source),
        "seed": _seed(body),
        "labels": read_labels(body),
        "marks": read_marks(body),
    }
    fields |= task_fields
    request = _validated(fields)
    warnings = [note, logo_warning(body, source, request)]
    return Submission(
        source=source,
        key=key,
        dialect=DIALECT,
        operation=operation,
        request=request,
        received=_received(body, sent),
        input_files={image.sha256: image.data for image in stored},
        lane=lane,
        external_id=external_id,
        styles=(preset.key, body.text("req_key")),
        note="; ".join(filter(None, warnings)),
    )


def find_preset(key: AccessKey, body: Body) -> StylePreset:
    """The enabled preset of ``req_key`` and ``sub_req_key``. Raises ServiceError 50400 if there is none for this key.

    The suffix ``_usage`` selects pay-per-use billing at the vendor; the style is the same.
    """
    name, variant = body.required("req_key"), body.text("sub_req_key")
    preset = preset_for(
        name.removesuffix(PAY_PER_USE_SUFFIX), variant.removesuffix(PAY_PER_USE_SUFFIX), key.source
    )
    if preset is None:
        raise ServiceError(50400, _("style %(name)s is not available for this key") % {"name": name[:100]})
    return preset


def _face_identity(body: Body, source: BusinessSource) -> str:
    """A note if ``id_scale`` asks to keep the identity of a face, which needs an IP-Adapter that is not supported.

    The vendor recommends 0.5, so it is accepted. Raises ServiceError for a strict source.
    """
    weight = body.number("id_scale", 0, 0, 1)
    if not weight:
        return ""
    if source.strict:
        raise ServiceError(50200, _("id_scale must be 0: IP-Adapter face models are not supported"))
    return f"id_scale {weight:g} had no effect: IP-Adapter face models are not supported"


def _prompt(preset: StylePreset, body: Body) -> str:
    if preset.prompt_required:
        return body.required("prompt")
    return next((body.text(name) for name in PROMPT_FIELDS if name in body), "")


def _prompts(preset: StylePreset, prompt: str, negative: str, source: BusinessSource) -> dict[str, str]:
    """The texts of the preset and the request. A preset without texts leaves them to its checkpoint."""
    negative = _joined(preset.negative_prompt, negative)
    if preset.prompt and negative:
        return {"prompt": preset.compose_prompt(prompt), "negative_prompt": negative}
    defaults = defaults_of(preset.checkpoint.name if preset.checkpoint else "", source, dialect=DIALECT)
    return {
        "prompt": preset.compose_prompt(prompt) if preset.prompt else defaults.prefixed(prompt),
        "negative_prompt": negative or defaults.negative_prompt,
    }


def _models(preset: StylePreset, body: Body) -> dict[str, Any]:
    return {
        "checkpoint": preset.checkpoint.name if preset.checkpoint else "",
        "vae": preset.vae.name if preset.vae else "",
        "loras": read_loras(preset, body),
        "clip_skip": body.integer("clip_skip", preset.clip_skip, 1, 3),
    }


def _sampling(preset: StylePreset, body: Body) -> dict[str, Any]:
    name = "steps" if "steps" in body else "ddim_step" if "ddim_step" in body else "ddim_steps"
    return {
        "sampler": preset.sampler,
        "scheduler": preset.scheduler,
        "num_inference_steps": body.integer(name, preset.steps, 1, preset.max_steps),
        "guidance_scale": body.number("scale", preset.guidance_scale, 0, 100),
        "preview_every": PREVIEWS_FOR_OPS,
    }


def _task(
    preset: StylePreset, body: Body, source: BusinessSource, base_url: str
) -> tuple[dict[str, Any], dict[str, ImageFile], list[ImageFile]]:
    """Fields of the preset's task, the images that were sent by their role, and the images that the job needs."""
    if not preset.max_images:
        return _txt2img(preset, body), {}, []
    facts = family_facts(preset.checkpoint) if preset.checkpoint else None
    if preset.task == preset.Task.IMG2IMG and facts is not None and facts.references is not None:
        images = read_images(body, source, base_url, facts.references.most)
        return _edit(preset, body, images, source)
    images = read_images(body, source, base_url, preset.max_images)
    if preset.task == preset.Task.IMG2IMG:
        (image,) = images
        return _img2img(preset, body, image, source), {"picture": image}, [image]
    inputs = inpainting(images) if preset.task == preset.Task.INPAINT else outpainting(images, body)
    return inputs.fields(preset, body), inputs.sent, [inputs.image, inputs.mask]


def _edit(
    preset: StylePreset, body: Body, images: list[ImageFile], source: BusinessSource
) -> tuple[dict[str, Any], dict[str, ImageFile], list[ImageFile]]:
    """Fields for a checkpoint that reads references. The first image decides the size. Without ``strength``, nothing is
    drawn over it.
    """
    fields = _img2img(preset, body, images[0], source)
    if "strength" not in body:
        fields["strength"] = 1.0
    if len(images) > 1:
        size = {name: fields[name] for name in ("width", "height")}
        fields = {"images": tuple(image.reference for image in images), **size}
    sent = {"picture" if number == 1 else f"picture_{number}": one for number, one in enumerate(images, 1)}
    return fields, sent, images


def _img2img(preset: StylePreset, body: Body, image: ImageFile, source: BusinessSource) -> dict[str, Any]:
    width, height = img2img_size(preset, body, image)
    return {
        "task": "img2img",
        "init_images": (image.reference,),
        "width": width,
        "height": height,
        "strength": body.number("strength", preset.strength, 0, 1),
        "keep_texture": body.flag("i2i_keep_texture", preset.keep_texture),
        "controls": read_controls(preset, body, source),
    }


def _txt2img(preset: StylePreset, body: Body) -> dict[str, Any]:
    width, height = txt2img_size(preset, body)
    return {"task": "txt2img", "width": width, "height": height}


def _seed(body: Body) -> int:
    seed = body.integer("seed", -1, -1, MAX_SEED)
    return random_seed() if seed == -1 else seed


def _joined(*texts: str) -> str:
    return ", ".join(text for text in texts if text.strip())


def _validated(fields: dict[str, Any]) -> GenerationRequest:
    try:
        return GenerationRequest.model_validate(fields)
    except ValidationError as error:
        raise ServiceError.invalid(error) from None


def _received(body: Body, sent: dict[str, ImageFile]) -> dict[str, Any]:
    stored = {name: body.raw(name) for name in STORED_FIELDS if name in body}
    return stored | {role: f"sha256:{image.sha256}" for role, image in sent.items()}
