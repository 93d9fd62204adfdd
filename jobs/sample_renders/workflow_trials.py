"""Trial jobs of workflow templates, with drawn input images where the template needs some."""

from __future__ import annotations

import hashlib
import io
from typing import Any

from django.utils.translation import gettext as _
from PIL import Image, ImageDraw

from access.internal_source import internal_source
from access.source_settings.prompt_modes import PromptMode
from gpu_runner.protocol import GenerationRequest, InputImage
from gpu_runner.protocol.request_parts.passes import Inpaint
from gpu_runner.protocol.request_parts.video import Video
from gpu_runner.protocol.workflows.slots import IMAGES
from jobs.admission.admit import admit
from jobs.admission.submission import Submission, random_seed
from jobs.errors import Refused
from jobs.models import Backend, Job, Lane
from models_registry.models import WorkflowTemplate
from models_registry.models.workflow_templates import OutputType

PROMPT = "a red circle on a blue background"
DIALECT, OPERATION = "console", "workflow_trial"
SIDE = 512
FILLS = ("red", "yellow", "green", "white")  # of the circles on the images that a template takes


def submit_trial(template: WorkflowTemplate, prompt: str = PROMPT, *, by: str = "") -> Job:
    """Submit one job with the template, billed to the internal source. ``by``: note for its timeline. Raises Refused."""
    slots = template.slots if isinstance(template.slots, dict) else {}
    fields: dict[str, Any] = {"task": "txt2img"}
    files: dict[str, bytes] = {}
    if "prompt" in slots:
        fields["prompt"] = prompt
    if "seed" in slots:
        fields["seed"] = random_seed()
    if "init_images" in slots:
        fields |= {"task": "img2img", "init_images": (_stored(_circle("navy", "red"), files),)}
    count = len([slot for slot in IMAGES if slot in slots])
    if count:
        colors = [FILLS[number % len(FILLS)] for number in range(count)]
        fields["images"] = tuple(_stored(_circle("navy", color), files) for color in colors)
    if template.output == OutputType.VIDEO:
        fields["video"] = Video()
    if "inpaint.mask" in slots:
        fields["inpaint"] = Inpaint(mask=_stored(_circle("black", "white"), files))
    try:
        request = GenerationRequest(**fields)
    except ValueError as error:
        raise Refused(_("The prompt is too long.")) from error
    return admit(
        Submission(
            source=internal_source(),
            key=None,
            dialect=DIALECT,
            operation=OPERATION,
            request=request,
            received={"workflow": template.name, "prompt": prompt},
            input_files=files,
            lane=Lane.INTERACTIVE,
            backend=Backend.COMFYUI,
            workflow=template,
            prompt_mode=PromptMode.AS_IS,
            note=by,
        )
    )


def newest_trial(template: WorkflowTemplate) -> Job | None:
    """The newest trial job of the template."""
    trials = Job.objects.filter(workflow=template, source=internal_source(), operation=OPERATION)
    return trials.order_by("-created_at").first()


def _stored(data: bytes, files: dict[str, bytes]) -> InputImage:
    digest = hashlib.sha256(data).hexdigest()
    files[digest] = data
    return InputImage(sha256=digest)


def _circle(background: str, fill: str) -> bytes:
    image = Image.new("RGB", (SIDE, SIDE), background)
    edge = SIDE // 4
    ImageDraw.Draw(image).ellipse((edge, edge, SIDE - edge, SIDE - edge), fill)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
