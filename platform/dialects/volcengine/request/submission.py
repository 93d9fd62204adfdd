"""From the wire to a submission. What the request leaves open, its style preset says."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from pydantic import ValidationError

from access.models import AccessKey, BusinessSource
from dialects.volcengine.authentication import DIALECT
from dialects.volcengine.errors import ServiceError
from gpu_runner.protocol import MAX_SEED, GenerationRequest
from jobs.admission.submission import PREVIEWS_FOR_OPS, Submission, random_seed
from jobs.models import Lane
from models_registry.models import StylePreset
from models_registry.selectors import preset_for

from .controlnet import read_controls
from .images import InputPicture, read_pictures
from .inpainting import SIDES, Repainting, inpainting, outpainting
from .json_body import Body
from .loras import read_loras
from .sizes import drawn_size, worked_size
from .watermarks import read_labels, read_marks

PAY_PER_USE = "_usage"
PROMPTS = ("prompt", "positive_prompt", "custom_prompt", "text")
# What the job keeps of what was sent. The rest is ignored, as the vendor ignores it.
KEPT = (
    "req_key",
    "sub_req_key",
    *PROMPTS,
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
    key: AccessKey, action: str, body: Body, *, lane: Lane, external_id: str = ""
) -> Submission:
    """Raises ServiceError, or Refused where a URL brings no picture."""
    preset = find_preset(key, body)
    return submission_of(
        preset, key.source, body, operation=action, lane=lane, key=key, external_id=external_id
    )


def submission_of(
    preset: StylePreset,
    source: BusinessSource,
    body: Body,
    *,
    operation: str,
    lane: Lane,
    key: AccessKey | None = None,
    external_id: str = "",
) -> Submission:
    """As ``read_submission``, when the preset is known."""
    prompt = _prompt(preset, body)
    drawn, sent, stored = _drawing(preset, body, source)
    wanted = {
        **_models(preset, body),
        **_walk(preset, body),
        "prompt": preset.words(prompt),
        "negative_prompt": _joined(preset.negative_prompt, body.text("u_prompt")),
        "seed": _seed(body),
        "face_identity": body.number("id_scale", 0, 0, 1),
        "labels": read_labels(body),
        "marks": read_marks(body),
    }
    wanted |= drawn
    return Submission(
        source=source,
        key=key,
        dialect=DIALECT,
        operation=operation,
        request=_canonical(wanted),
        received=_received(body, sent),
        pictures={picture.sha256: picture.data for picture in stored},
        lane=lane,
        external_id=external_id,
        styles=(preset.key, body.text("req_key")),
    )


def find_preset(key: AccessKey, body: Body) -> StylePreset:
    """A key that ends in _usage is the same style, paid for in another way."""
    name, variant = body.needed("req_key"), body.text("sub_req_key")
    preset = preset_for(name.removesuffix(PAY_PER_USE), variant.removesuffix(PAY_PER_USE), key.source)
    if preset is None:
        raise ServiceError(50400, _("there is no style %(name)s for this key") % {"name": name[:100]})
    return preset


def _prompt(preset: StylePreset, body: Body) -> str:
    if preset.prompt_required:
        return body.needed("prompt")
    return next((body.text(name) for name in PROMPTS if name in body), "")


def _models(preset: StylePreset, body: Body) -> dict[str, Any]:
    return {
        "checkpoint": preset.checkpoint.name if preset.checkpoint else "",
        "vae": preset.vae.name if preset.vae else "",
        "loras": read_loras(preset, body),
        "clip_skip": body.integer("clip_skip", preset.clip_skip, 1, 3),
    }


def _walk(preset: StylePreset, body: Body) -> dict[str, Any]:
    name = "steps" if "steps" in body else "ddim_step" if "ddim_step" in body else "ddim_steps"
    return {
        "sampler": preset.sampler,
        "scheduler": preset.scheduler,
        "num_inference_steps": body.integer(name, preset.steps, 1, preset.max_steps),
        "guidance_scale": body.number("scale", preset.guidance_scale, 0, 100),
        "preview_every": PREVIEWS_FOR_OPS,
    }


def _drawing(
    preset: StylePreset, body: Body, source: BusinessSource
) -> tuple[dict[str, Any], dict[str, InputPicture], list[InputPicture]]:
    """What the task has of its own; the pictures that were sent, by what they are; and those that the engine needs."""
    if not preset.most_pictures:
        return _from_words(preset, body), {}, []
    pictures = read_pictures(body, source, preset.most_pictures)
    if preset.task == preset.Task.IMG2IMG:
        (picture,) = pictures
        return _from_picture(preset, body, picture, source), {"picture": picture}, [picture]
    part: Repainting = (
        inpainting(pictures) if preset.task == preset.Task.INPAINT else outpainting(pictures, body)
    )
    return part.wanted(preset, body), part.sent, [part.picture, part.mask]


def _from_picture(
    preset: StylePreset, body: Body, picture: InputPicture, source: BusinessSource
) -> dict[str, Any]:
    width, height = worked_size(preset, body, picture)
    return {
        "task": "img2img",
        "init_images": (picture.named,),
        "width": width,
        "height": height,
        "strength": body.number("strength", preset.strength, 0, 1),
        "keep_texture": body.flag("i2i_keep_texture", preset.keep_texture),
        "controls": read_controls(preset, body, source),
    }


def _from_words(preset: StylePreset, body: Body) -> dict[str, Any]:
    width, height = drawn_size(preset, body)
    return {"task": "txt2img", "width": width, "height": height}


def _seed(body: Body) -> int:
    seed = body.integer("seed", -1, -1, MAX_SEED)
    return random_seed() if seed == -1 else seed


def _joined(*texts: str) -> str:
    return ", ".join(text for text in texts if text.strip())


def _canonical(wanted: dict[str, Any]) -> GenerationRequest:
    try:
        return GenerationRequest.model_validate(wanted)
    except ValidationError as error:
        raise ServiceError.invalid(error) from None


def _received(body: Body, sent: dict[str, InputPicture]) -> dict[str, Any]:
    kept = {name: body.raw(name) for name in KEPT if name in body}
    return kept | {name: f"sha256:{picture.sha256}" for name, picture in sent.items()}
