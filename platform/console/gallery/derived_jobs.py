"""Jobs that are derived from an image of the gallery: a variation of it, and its enlargement.

They belong to the image's source, and are limited and billed by the user's console key of that source.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.utils.translation import gettext as _

from access.keys.authentication import Denied
from access.keys.console_keys import console_key
from access.models import AccessKey
from access.source_settings.prompt_modes import PromptMode
from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.request_parts.upscaling import Upscale
from gpu_runner.protocol.request_parts.values import InputImage
from jobs.admission.admit import admit
from jobs.admission.submission import Submission, random_seed
from jobs.errors import Refused, Unsupported
from jobs.images.storage import read_output
from jobs.models import Backend, Job, Output, request_as_json
from models_registry.models import Kind
from models_registry.selectors import list_for

DIALECT = "native"
VARIATION = 0.3  # subseed_strength: the same composition with other details
SCALE = 2.0


def vary(output: Output, user: AbstractBaseUser, address: str) -> Job:
    """One image like this one: its request and seed, with some noise of another seed. Raises Refused."""
    job, request = output.job, output.job.generation_request
    if not request.denoises or output.index >= request.num_images:
        raise Unsupported(_("This image was not generated from noise, so it has no variations."))
    inits = request.init_images
    changes: dict[str, Any] = {
        "seed": output.seed,
        "subseed": random_seed(),
        "subseed_strength": VARIATION,
        "num_images": 1,
        "batch_size": 1,
        "init_images": inits[output.index : output.index + 1] if len(inits) > 1 else inits,
    }
    varied = GenerationRequest.model_validate({**dict(request), **changes})
    return _admitted(job, varied, user, address, backend=Backend(job.backend), workflow=job.workflow)


def upscale(output: Output, user: AbstractBaseUser, address: str) -> Job:
    """The image at twice its size, by the first upscaler that the source may use. Raises Refused."""
    if output.frames:
        raise Unsupported(_("Videos cannot be upscaled."))
    try:
        data = read_output(output)
    except FileNotFoundError:
        raise Unsupported(_("The image was deleted.")) from None
    source = output.job.source
    upscaler = list_for(Kind.UPSCALER, source).order_by("-is_default", "created_at", "pk").first()
    name = upscaler.name if upscaler else "Lanczos"
    given = output.job.generation_request
    request = GenerationRequest(
        task="upscale",
        init_images=(InputImage(sha256=output.sha256),),
        upscale=Upscale(scale=SCALE, upscaler=name),
        output_format=given.output_format,
        output_quality=given.output_quality,
    )
    return _admitted(output.job, request, user, address, input_files={output.sha256: data})


def _admitted(
    job: Job, request: GenerationRequest, user: AbstractBaseUser, address: str, **fields: Any
) -> Job:
    return admit(
        Submission(
            source=job.source,
            key=_key(job, user, address),
            dialect=DIALECT,
            operation=request.task,
            request=request,
            received=request_as_json(request),
            prompt_mode=PromptMode.AS_IS,  # the request has the prompts that were drawn
            note=f"console: {user.get_username()}",
            **fields,
        )
    )


def _key(job: Job, user: AbstractBaseUser, address: str) -> AccessKey:
    try:
        return console_key(user, job.source, dialect=DIALECT, address=address)
    except Denied as denied:
        message = _("You may not submit jobs for %(source)s at present.") % {"source": job.source.name}
        raise Refused(message, retry_after=denied.retry_after or None) from None
