"""A style preset tried in the console: what a client of this dialect would get, on nobody's key."""

from __future__ import annotations

import base64

from access.models import BusinessSource
from dialects.volcengine.errors import ServiceError
from jobs.admission.submission import Submission
from jobs.errors import Refused
from jobs.models import Lane
from jobs.sample_renders.style_presets import OPERATION
from models_registry.models import StylePreset

from .json_body import Body
from .submission import submission_of


def read_trial(preset: StylePreset, source: BusinessSource, prompt: str, pictures: list[bytes]) -> Submission:
    inline = [base64.b64encode(picture).decode() for picture in pictures]
    body = Body({"req_key": preset.key, "prompt": prompt, "binary_data_base64": inline})
    try:
        return submission_of(preset, source, body, operation=OPERATION, lane=Lane.INTERACTIVE)
    except ServiceError as error:
        raise Refused(str(error)) from error
