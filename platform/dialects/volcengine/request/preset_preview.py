"""Preview of a style preset in the console: the job that a client of this dialect would submit, without a key."""

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
from .submission import build_submission


def preview_submission(
    preset: StylePreset, source: BusinessSource, prompt: str, images: list[bytes]
) -> Submission:
    """The submission of a preview. Raises Refused."""
    inline = [base64.b64encode(image).decode() for image in images]
    body = Body({"req_key": preset.key, "prompt": prompt, "binary_data_base64": inline})
    try:
        return build_submission(preset, source, body, operation=OPERATION, lane=Lane.INTERACTIVE)
    except ServiceError as error:
        raise Refused(str(error)) from error
