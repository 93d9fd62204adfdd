"""From a v2 body, or inpaint v1's, to a submission."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from access.models import AccessKey, BusinessSource
from dialects.zhiqite.authentication import DIALECT
from dialects.zhiqite.errors import WireError
from gpu_runner.protocol import GenerationRequest
from jobs.admission.submission import Submission
from jobs.outbound.callbacks.outbox import CallbackRequest

from . import common
from .controlnet import control_units
from .fields_v2 import Drawing
from .input_images import Inputs

TEXT, IMAGE, CONTROL, INPAINT = "v2/text2image", "v2/image2image", "v2/controlnet", "v1/inpaint"
FROM_PICTURES = (IMAGE, CONTROL, INPAINT)
STRENGTH = 0.75
INPAINT_PADDING = 32


def read_submission(operation: str, key: AccessKey, asked: Drawing, base_url: str) -> Submission:
    """Raises WireError or Refused for whatever cannot become one."""
    inputs = Inputs(key.source)
    request = _request(operation, asked, key.source, inputs)
    return Submission(
        source=key.source,
        key=key,
        dialect=DIALECT,
        operation=operation,
        request=request,
        received=asked.received(),
        pictures=inputs.files,
        external_id=asked.alwayson_scripts.id_task,
        id_may_repeat=True,
        callback=CallbackRequest(asked.callbackUrl, base_url=base_url) if asked.callbackUrl else None,
    )


def _request(operation: str, asked: Drawing, source: BusinessSource, inputs: Inputs) -> GenerationRequest:
    scripts, overrides = asked.alwayson_scripts, asked.alwayson_scripts.override_settings
    _refuse_adetailer(scripts.ADetailer)
    walk = common.sampling(asked.sampler_index, "sampler_index")
    wanted = {
        "prompt": asked.prompt,
        "negative_prompt": asked.negative_prompt,
        "loras": common.loras(asked.prompt, source),
        "checkpoint": scripts.sd_model_checkpoint,
        "vae": common.vae(scripts.sd_vae or overrides.sd_vae),
        "clip_skip": overrides.CLIP_stop_at_last_layers,
        "tiling": overrides.tiling,
        "face_restoration": {} if asked.restore_faces else None,
        "output_format": common.output_format(scripts.output_image_format),
        "preview_every": common.PREVIEW_EVERY,
        "width": asked.width,
        "height": asked.height,
        "num_images": asked.n_iter * asked.batch_size,
        "batch_size": asked.batch_size,
        "num_inference_steps": asked.steps,
        "guidance_scale": asked.cfg_scale,
        "seed": common.seed(asked.seed),
        "eta_noise_seed_delta": overrides.eta_noise_seed_delta,
        "eta": common.eta(walk["sampler"], overrides.eta_ancestral, overrides.eta_ddim),
        **walk,
        **_beginning(operation, asked, inputs),
    }
    units = scripts.controlnet.args
    if operation == CONTROL and not any(unit.enabled for unit in units):
        raise WireError(_("alwayson_scripts.controlnet.args: there is no unit that is enabled"))
    wanted["controls"] = control_units(units, source, inputs)
    if asked.enable_hr:
        wanted["hires"] = _hires(asked, "init_images" in wanted, source)
    return common.canonical(wanted)


def _refuse_adetailer(script: Any) -> None:
    arguments = script.get("args") if isinstance(script, dict) else script
    units = [unit for unit in arguments or [] if unit] if isinstance(arguments, list) else [arguments]
    if any(not _is_off(unit) for unit in units):
        message = _("alwayson_scripts.ADetailer: there is no model here that finds what it would draw again")
        raise WireError(message)


def _is_off(unit: Any) -> bool:
    """Its switches, which come before its units, draw nothing by themselves."""
    if isinstance(unit, dict):
        return unit.get("ad_model", "None") == "None"
    return not unit or unit is True


def _beginning(operation: str, asked: Drawing, inputs: Inputs) -> dict[str, Any]:
    """What the drawing begins with: nothing, or a picture, of which a mask may hide a part."""
    if operation not in FROM_PICTURES:
        return {}
    if not asked.base_link:
        if operation == CONTROL:
            return {}
        raise WireError(_("alwayson_scripts.image_link: this operation needs a picture"))
    if operation == INPAINT and not asked.hidden_link:
        raise WireError(_("alwayson_scripts.mask_link: this operation needs a mask"))
    overrides = asked.alwayson_scripts.override_settings
    strength = asked.denoising_strength
    noise = asked.initial_noise_multiplier
    noise = overrides.initial_noise_multiplier if noise is None else noise
    return {
        "task": "img2img",
        "init_images": (inputs.fetched(asked.base_link),),
        "strength": STRENGTH if strength is None else strength,
        "resize_mode": common.RESIZE_MODES[asked.resize_mode],
        "initial_noise_multiplier": 1.0 if noise is None else noise,
        "colour_correction": overrides.img2img_color_correction,
        "exact_steps": overrides.img2img_fix_steps,
        "inpaint": _inpaint(operation, asked, inputs) if asked.hidden_link else None,
    }


def _inpaint(operation: str, asked: Drawing, inputs: Inputs) -> dict[str, Any]:
    """v1 keeps the original under the mask, and draws its surroundings at full size, where nothing else is said."""
    content = asked.inpainting_fill
    padding = asked.inpaint_full_res_padding
    both = asked.mask_blur
    return {
        "mask": inputs.fetched(asked.hidden_link),
        "invert": asked.inpainting_mask_invert,
        "blur_x": asked.mask_blur_x if both is None else both,
        "blur_y": asked.mask_blur_y if both is None else both,
        "content": common.CONTENTS[(1 if operation == INPAINT else 0) if content is None else content],
        "only_masked": asked.inpaint_full_res,
        "padding": (INPAINT_PADDING if operation == INPAINT else 0) if padding is None else padding,
    }


def _hires(asked: Drawing, from_picture: bool, source: BusinessSource) -> dict[str, Any]:
    if from_picture:
        raise WireError(_("enable_hr: a second pass follows a drawing from text alone; leave image_link out"))
    return common.hires(
        (asked.width, asked.height),
        (asked.hr_resize_x, asked.hr_resize_y),
        asked.hr_scale,
        asked.hr_upscaler,
        asked.hr_second_pass_steps,
        asked.denoising_strength,
        source,
    )
