"""Convert the body of v2 or inpaint v1 to a Submission."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from access.models import AccessKey, BusinessSource
from dialects.zhiqite.authentication import DIALECT
from dialects.zhiqite.errors import WireError
from gpu_runner.protocol import GenerationRequest
from jobs.admission.model_choice.defaults import ModelDefaults, defaults_of
from jobs.admission.submission import Submission
from jobs.outbound.callbacks.outbox import CallbackRequest
from models_registry.selectors import edits_by_instruction

from . import common
from .controlnet import control_units
from .detail_passes import with_detail_passes
from .fields_v2 import GenerationV2
from .input_images import InputImages

TEXT, IMAGE, CONTROL, INPAINT = "v2/text2image", "v2/image2image", "v2/controlnet", "v1/inpaint"
WITH_INIT_IMAGE = (IMAGE, CONTROL, INPAINT)
DEFAULT_STRENGTH = 0.75
INPAINT_PADDING = 32
# Fields that a body may leave open, and the fields of the generation request that they set.
OPEN = {
    "steps": "num_inference_steps",
    "cfg_scale": "guidance_scale",
    "sampler_index": "sampler",
    "width": "width",
    "height": "height",
    "negative_prompt": "negative_prompt",
}


def read_submission(operation: str, key: AccessKey, body: GenerationV2, base_url: str) -> Submission:
    """The submission of a body. Raises WireError or Refused."""
    inputs = InputImages(key.source, base_url)
    scripts = body.alwayson_scripts
    vae, note = common.vae(scripts.sd_vae or scripts.override_settings.sd_vae, key.source)
    notes = [note] if note else []
    defaults = defaults_of(scripts.sd_model_checkpoint, key.source, key, dialect=DIALECT)
    request = _request(operation, body, key.source, inputs, vae, notes, defaults)
    return Submission(
        source=key.source,
        key=key,
        dialect=DIALECT,
        operation=operation,
        request=request,
        received=body.received(),
        input_files=inputs.files,
        external_id=body.alwayson_scripts.id_task,
        id_may_repeat=True,
        callback=CallbackRequest(body.callbackUrl, base_url=base_url) if body.callbackUrl else None,
        note="; ".join(notes),
    )


def _request(
    operation: str,
    body: GenerationV2,
    source: BusinessSource,
    inputs: InputImages,
    vae: str,
    notes: list[str],
    defaults: ModelDefaults,
) -> GenerationRequest:
    scripts, overrides = body.alwayson_scripts, body.alwayson_scripts.override_settings
    filled = common.open_fields(body, OPEN, defaults)
    if "CLIP_stop_at_last_layers" in overrides.model_fields_set:
        filled.pop("clip_skip", None)
    sampling = common.sampling(body.sampler_index, "sampler_index") | {
        name: filled[name] for name in ("sampler", "scheduler") if name in filled
    }
    fields = {
        "prompt": defaults.prefixed(body.prompt),
        "negative_prompt": body.negative_prompt,
        "loras": common.loras(body.prompt, source),
        "checkpoint": scripts.sd_model_checkpoint,
        "vae": vae,
        "clip_skip": overrides.CLIP_stop_at_last_layers,
        "tiling": overrides.tiling,
        "face_restoration": {} if body.restore_faces else None,
        "output_format": common.output_format(scripts.output_image_format),
        "preview_every": common.PREVIEW_EVERY,
        "width": body.width,
        "height": body.height,
        "num_images": body.n_iter * body.batch_size,
        "batch_size": body.batch_size,
        "num_inference_steps": body.steps,
        "guidance_scale": body.cfg_scale,
        "seed": common.seed(body.seed),
        "eta_noise_seed_delta": overrides.eta_noise_seed_delta,
        "eta": common.eta(sampling["sampler"], overrides.eta_ancestral, overrides.eta_ddim),
        **filled,
        **sampling,
        **_init_image(operation, body, inputs),
    }
    units = scripts.controlnet.args
    if operation == CONTROL and not any(unit.enabled for unit in units):
        raise WireError(_("alwayson_scripts.controlnet.args: at least one unit must be enabled"))
    fields["controls"] = control_units(units, source, inputs)
    if body.image_cfg_scale is not None and edits_by_instruction(fields["checkpoint"], source):
        fields["image_guidance_scale"] = body.image_cfg_scale
    fields = with_detail_passes(fields, body, source, notes)
    if body.enable_hr:
        fields["hires"] = _hires(body, fields, source)
    return common.validated(fields)


def _init_image(operation: str, body: GenerationV2, inputs: InputImages) -> dict[str, Any]:
    """Fields of img2img and inpainting; none for txt2img."""
    scripts = body.alwayson_scripts
    masks = {"mask_link": body.mask_link, "alwayson_scripts.mask_link": scripts.mask_link}
    if operation not in WITH_INIT_IMAGE:
        images = {"image_link": body.image_link, "alwayson_scripts.image_link": scripts.image_link}
        common.no_base_image(**images, **masks)
        return {}
    if not body.init_image_url:
        if operation == CONTROL:
            common.no_base_image(**masks)
            return {}
        raise WireError(_("alwayson_scripts.image_link is required for this operation"))
    if operation == INPAINT and not body.mask_url:
        raise WireError(_("alwayson_scripts.mask_link is required for this operation"))
    overrides = body.alwayson_scripts.override_settings
    strength = body.denoising_strength
    noise = body.initial_noise_multiplier
    noise = overrides.initial_noise_multiplier if noise is None else noise
    return {
        "task": "img2img",
        "init_images": (inputs.fetch(body.link_name("image_link"), body.init_image_url),),
        "strength": DEFAULT_STRENGTH if strength is None else strength,
        "resize_mode": common.RESIZE_MODES[body.resize_mode],
        "initial_noise_multiplier": 1.0 if noise is None else noise,
        "colour_correction": overrides.img2img_color_correction,
        "exact_steps": overrides.img2img_fix_steps,
        "inpaint": _inpaint(operation, body, inputs) if body.mask_url else None,
    }


def _inpaint(operation: str, body: GenerationV2, inputs: InputImages) -> dict[str, Any]:
    """Mask fields. inpaint v1 has other defaults than v2: original content under the mask, and a padding of 32 pixels."""
    content = body.inpainting_fill
    padding = body.inpaint_full_res_padding
    blur = body.mask_blur
    return {
        "mask": inputs.fetch(body.link_name("mask_link"), body.mask_url),
        "invert": body.inpainting_mask_invert,
        "blur_x": body.mask_blur_x if blur is None else blur,
        "blur_y": body.mask_blur_y if blur is None else blur,
        "content": common.CONTENTS[(1 if operation == INPAINT else 0) if content is None else content],
        "only_masked": body.inpaint_full_res,
        "padding": (INPAINT_PADDING if operation == INPAINT else 0) if padding is None else padding,
    }


def _hires(body: GenerationV2, fields: dict[str, Any], source: BusinessSource) -> dict[str, Any]:
    if "init_images" in fields:
        raise WireError(_("enable_hr is available for text2image only; leave image_link out"))
    return common.hires(
        (fields["width"], fields["height"]),
        (body.hr_resize_x, body.hr_resize_y),
        body.hr_scale,
        body.hr_upscaler,
        body.hr_second_pass_steps,
        body.denoising_strength,
        source,
    )
