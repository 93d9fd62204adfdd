"""From the body of rembg_img to a submission: the foreground of an image, and its mask if that is asked for."""

from __future__ import annotations

import hashlib

from dialects.smzdm.authentication import DIALECT, Caller
from gpu_runner.protocol import GenerationRequest, Picture
from gpu_runner.protocol.generation_request import CutOut
from gpu_runner.protocol.working_size import working_size
from jobs.admission.submission import Submission
from jobs.models import Lane

from .fields import CutOutFields
from .images import fetched, upright_size
from .submission import received, target_of

OPERATION = "rembg_img"


def cut_out(caller: Caller, asked: CutOutFields) -> Submission:
    """Raises Refused or WireError."""
    target = target_of(caller.source, asked.upload_img_config)
    data = fetched("img_url", asked.img_url, caller.source)
    picture = Picture(sha256=hashlib.sha256(data).hexdigest())
    width, height = working_size(*upright_size(data))
    return Submission(
        source=caller.source,
        key=caller.key,
        dialect=DIALECT,
        operation=OPERATION,
        request=GenerationRequest(
            task="cut_out",
            init_images=(picture,),
            width=width,
            height=height,
            cut_out=CutOut(matting_model=asked.model, with_mask=asked.is_mask),
        ),
        received=received(asked),
        pictures={picture.sha256: data},
        lane=Lane.INTERACTIVE,
        storage_target=target,
    )
