"""From the wire to a submission."""

from __future__ import annotations

import hashlib

from django.http import HttpRequest
from django.utils.translation import gettext as _
from pydantic import ValidationError

from access.models import BusinessSource
from dialects.smzdm.authentication import DIALECT, Caller
from dialects.smzdm.errors import Code, WireError
from gpu_runner.protocol import GenerationRequest, Picture
from gpu_runner.protocol.generation_request import ChangeBackground, LoraUse
from gpu_runner.protocol.working_size import LARGEST, working_size
from jobs.admission.submission import PREVIEWS_FOR_OPS, Submission, random_seed
from jobs.images import signed_urls
from jobs.images.storage_targets.selectors import find_target
from jobs.models import Backend, Lane
from jobs.models.storage_target import StorageTarget
from jobs.outbound.callbacks.outbox import CallbackRequest
from jobs.selectors import is_offered

from .controlnet import control_unit
from .fields import ChangeBackgroundFields, Fields, UploadConfig
from .images import fetched, upright_size

CHANGE_BACKGROUND = "change_background"
SAMPLER, SCHEDULER = "DPM++ 2M", "Karras"


def change_background(caller: Caller, asked: ChangeBackgroundFields, request: HttpRequest) -> Submission:
    """Pictures are fetched last: nobody's server is asked for what is refused anyway. Raises Refused or WireError."""
    source = caller.source
    backend, backend_note = _backend(source, asked.api_type)
    target = target_of(source, asked.upload_img_config)
    controls, control_note = control_unit(source, asked, backend)
    picture = fetched("img_url", asked.img_url, source)
    mask = fetched("mask_url", asked.mask_url, source) if asked.mask_url else None
    generation = _generation_request(asked, picture, mask)
    if controls:
        generation = generation.model_copy(update={"controls": (controls,)})
    return Submission(
        source=source,
        key=caller.key,
        dialect=DIALECT,
        operation=CHANGE_BACKGROUND,
        request=generation,
        received=received(asked),
        pictures={_named(data).sha256: data for data in (picture, mask) if data is not None},
        lane=Lane.ASYNC if asked.calls_back else Lane.INTERACTIVE,
        callback=_callback(asked, request),
        backend=backend,
        storage_target=target,
        note="; ".join(note for note in (backend_note, control_note) if note),
    )


def received(asked: Fields) -> dict[str, object]:
    return asked.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _backend(source: BusinessSource, api_type: str) -> tuple[Backend, str]:
    """Another than was asked for only where ops said so, and then with a note."""
    wanted = Backend(api_type)
    if is_offered(wanted):
        return wanted, ""
    if wanted == Backend.COMFYUI and source.comfyui_by_pipeline and is_offered(Backend.PIPELINE):
        return Backend.PIPELINE, "asked for comfyui, drawn by the pipeline"
    message = _("api_type: no runner here offers the backend %(backend)s.") % {"backend": wanted.value}
    raise WireError(Code.UNSUPPORTED, message)


def target_of(source: BusinessSource, config: UploadConfig | None) -> StorageTarget | None:
    if config is None:
        return None
    return find_target(source, config.channel, config.type, by_host=config.public_host)


def _generation_request(
    asked: ChangeBackgroundFields, picture: bytes, mask: bytes | None
) -> GenerationRequest:
    original = upright_size(picture)
    output_width, output_height = asked.width or original[0], asked.height or original[1]
    if max(output_width, output_height) > LARGEST:
        message = _("img_url: the picture has %(width)d x %(height)d pixels; a side may have %(limit)d.")
        words = {"width": output_width, "height": output_height, "limit": LARGEST}
        raise WireError(Code.PARAMETER, message % words)
    width, height = working_size(output_width, output_height)
    part = ChangeBackground(
        mask=_named(mask) if mask is not None else None,
        cut_out_by="matting" if asked.is_remove_bg else "transparency",
        mask_expansion=asked.mast_expend_num,
        output_width=output_width,
        output_height=output_height,
    )
    loras = zip(asked.sd_lora_name, asked.sd_lora_weight, strict=True)
    try:
        return GenerationRequest(
            task="change_background",
            init_images=(_named(picture),),
            change_background=part,
            resize_mode="fill",
            width=width,
            height=height,
            prompt=asked.prompt,
            negative_prompt=asked.negative_prompt,
            checkpoint=asked.sd_model_checkpoint,
            loras=tuple(LoraUse(name=name, unet=weight, text_encoder=weight) for name, weight in loras),
            num_images=asked.batch_size,
            batch_size=asked.batch_size,
            num_inference_steps=asked.steps,
            sampler=SAMPLER,
            scheduler=SCHEDULER,
            strength=1.0,
            seed=random_seed() if asked.seed < 0 else asked.seed,
            preview_every=PREVIEWS_FOR_OPS,
        )
    except ValidationError as error:
        raise WireError.invalid(error) from None


def _callback(asked: ChangeBackgroundFields, request: HttpRequest) -> CallbackRequest | None:
    if not asked.calls_back or asked.callback_url is None:
        return None
    extra = {"taskid": asked.taskid}
    return CallbackRequest(asked.callback_url, extra, base_url=signed_urls.base_url(request))


def _named(data: bytes) -> Picture:
    return Picture(sha256=hashlib.sha256(data).hexdigest())
