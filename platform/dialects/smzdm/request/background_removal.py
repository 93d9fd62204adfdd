"""Convert the body of rembg_img to a Submission: the foreground of an image, and its mask if requested."""

from __future__ import annotations

import hashlib

from dialects.smzdm.authentication import DIALECT, Caller
from gpu_runner.protocol import GenerationRequest, InputImage
from gpu_runner.protocol.images.working_size import working_size
from gpu_runner.protocol.request_parts.backgrounds import CutOut
from jobs.admission.submission import Submission
from jobs.images.input_files import read_size
from jobs.models import Lane

from .fields import CutOutFields
from .images import fetch_image
from .submission import received, target_of

OPERATION = "rembg_img"


def remove_background(caller: Caller, body: CutOutFields, base_url: str) -> Submission:
    """The submission of a body. Raises Refused or WireError."""
    target = target_of(caller.source, body.upload_img_config)
    data = fetch_image("img_url", body.img_url, caller.source, base_url)
    image = InputImage(sha256=hashlib.sha256(data).hexdigest())
    width, height = working_size(*read_size(data))
    return Submission(
        source=caller.source,
        key=caller.key,
        dialect=DIALECT,
        operation=OPERATION,
        request=GenerationRequest(
            task="cut_out",
            init_images=(image,),
            width=width,
            height=height,
            cut_out=CutOut(matting_model=body.model, with_mask=body.is_mask),
        ),
        received=received(body),
        input_files={image.sha256: data},
        lane=Lane.INTERACTIVE,
        storage_target=target,
    )
