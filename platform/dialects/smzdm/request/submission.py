"""Convert the body of change_background to a Submission."""

from __future__ import annotations

import hashlib
from typing import Any

from django.utils.translation import gettext as _
from pydantic import ValidationError

from access.models import BusinessSource
from dialects.smzdm.authentication import DIALECT, Caller
from dialects.smzdm.errors import Code, WireError
from gpu_runner.protocol import GenerationRequest, InputImage
from gpu_runner.protocol.images.working_size import LARGEST, working_size
from gpu_runner.protocol.request_parts.backgrounds import ChangeBackground
from gpu_runner.protocol.request_parts.passes import LoraUse
from jobs.admission.model_choice.defaults import NONE as NO_DEFAULTS
from jobs.admission.model_choice.defaults import ModelDefaults, defaults_of
from jobs.admission.model_choice.lora_tags import refuse_tags
from jobs.admission.submission import PREVIEWS_FOR_OPS, Submission, random_seed
from jobs.images.input_files import read_size
from jobs.images.storage_targets.selectors import find_target
from jobs.models import Backend, Lane
from jobs.models.storage_target import StorageTarget
from jobs.outbound.callbacks.outbox import CallbackRequest
from jobs.selectors import is_offered

from .controlnet import control_unit
from .fields import ChangeBackgroundFields, Fields, UploadConfig
from .images import fetch_image
from .transparency import check_mask, check_transparency

CHANGE_BACKGROUND = "change_background"
SAMPLER, SCHEDULER = "DPM++ 2M", "Karras"


def change_background(caller: Caller, body: ChangeBackgroundFields, base_url: str) -> Submission:
    """The submission of a body. Images are fetched last, after everything else is validated.

    Raises Refused or WireError.
    """
    source = caller.source
    backend, backend_note = _backend(source, body.api_type)
    target = target_of(source, body.upload_img_config)
    controls, control_note = control_unit(source, body, backend)
    image = fetch_image("img_url", body.img_url, source, base_url)
    mask = fetch_image("mask_url", body.mask_url, source, base_url) if body.mask_url else None
    if mask is not None:
        check_mask(mask)
    elif not body.is_remove_bg:
        check_transparency(image)
    is_drawn_here = backend == Backend.PIPELINE
    defaults = defaults_of(body.sd_model_checkpoint, source, caller.key) if is_drawn_here else NO_DEFAULTS
    generation = _generation_request(body, image, mask, defaults)
    if controls:
        generation = generation.model_copy(update={"controls": (controls,)})
    return Submission(
        source=source,
        key=caller.key,
        dialect=DIALECT,
        operation=CHANGE_BACKGROUND,
        request=generation,
        received=received(body),
        input_files={_reference(data).sha256: data for data in (image, mask) if data is not None},
        lane=Lane.ASYNC if body.calls_back else Lane.INTERACTIVE,
        callback=_callback(body, base_url),
        backend=backend,
        storage_target=target,
        note="; ".join(note for note in (backend_note, control_note) if note),
    )


def received(body: Fields) -> dict[str, object]:
    """Fields of the body as they are stored with the job."""
    return body.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _backend(source: BusinessSource, api_type: str) -> tuple[Backend, str]:
    """The backend, and a note if it replaces the requested one, which the source must allow. Raises WireError."""
    requested = Backend(api_type)
    if is_offered(requested):
        return requested, ""
    if requested == Backend.COMFYUI and source.comfyui_by_pipeline and is_offered(Backend.PIPELINE):
        return Backend.PIPELINE, "comfyui was requested; the pipeline is used instead"
    message = _("api_type: no runner offers the backend %(backend)s.") % {"backend": requested.value}
    raise WireError(Code.UNSUPPORTED, message)


def target_of(source: BusinessSource, config: UploadConfig | None) -> StorageTarget | None:
    """The storage target of ``upload_img_config``, or None. Raises Refused with its field for an unknown one."""
    if config is None:
        return None
    return find_target(source, config.channel, config.type, by_host=config.public_host)


def _generation_request(
    body: ChangeBackgroundFields, image: bytes, mask: bytes | None, defaults: ModelDefaults
) -> GenerationRequest:
    original = read_size(image)
    output_width, output_height = body.width or original[0], body.height or original[1]
    if max(output_width, output_height) > LARGEST:
        message = _("img_url: a side must have at most %(limit)d pixels (got %(width)d x %(height)d).")
        values = {"width": output_width, "height": output_height, "limit": LARGEST}
        raise WireError(Code.PARAMETER, message % values)
    width, height = working_size(output_width, output_height)
    part = ChangeBackground(
        mask=_reference(mask) if mask is not None else None,
        cut_out_by="matting" if body.is_remove_bg else "transparency",
        mask_expansion=body.mast_expend_num,
        output_width=output_width,
        output_height=output_height,
    )
    refuse_tags(body.prompt, "sd_lora_name")
    loras = zip(body.sd_lora_name, body.sd_lora_weight, strict=True)
    try:
        return GenerationRequest(
            task="change_background",
            init_images=(_reference(image),),
            change_background=part,
            resize_mode="fill",
            width=width,
            height=height,
            prompt=defaults.prefixed(body.prompt),
            checkpoint=body.sd_model_checkpoint,
            loras=tuple(LoraUse(name=name, unet=weight, text_encoder=weight) for name, weight in loras),
            num_images=body.batch_size,
            batch_size=body.batch_size,
            strength=1.0,
            seed=random_seed() if body.seed < 0 else body.seed,
            preview_every=PREVIEWS_FOR_OPS,
            **_open_fields(body, defaults),
        )
    except ValidationError as error:
        raise WireError.invalid(error) from None


def _open_fields(body: ChangeBackgroundFields, defaults: ModelDefaults) -> dict[str, Any]:
    """Fields that a body may leave open: as sent, else of the checkpoint, else the vendor's defaults."""
    vendor = {
        "negative_prompt": body.negative_prompt,
        "num_inference_steps": body.steps,
        "sampler": SAMPLER,
        "scheduler": SCHEDULER,
    }
    fields = {"negative_prompt": "negative_prompt", "steps": "num_inference_steps"}
    named = {field for name, field in fields.items() if name in body.model_fields_set}
    return vendor | defaults.fields({*named, "width", "height"})


def _callback(body: ChangeBackgroundFields, base_url: str) -> CallbackRequest | None:
    if not body.calls_back or body.callback_url is None:
        return None
    extra = {"taskid": body.taskid}
    return CallbackRequest(body.callback_url, extra, base_url=base_url)


def _reference(data: bytes) -> InputImage:
    return InputImage(sha256=hashlib.sha256(data).hexdigest())
