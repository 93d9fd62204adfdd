"""The vendor's image to video, by a workflow template of ComfyUI. Field names are our reading [R]: its page is not public."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from access.models import BusinessSource
from dialects.zhiqite import field_names
from dialects.zhiqite.authentication import DIALECT
from dialects.zhiqite.request import common
from dialects.zhiqite.request.input_images import InputImages
from dialects.zhiqite.request.json_body import MAX_NAME, MAX_PROMPT, Link, Seed
from gpu_runner.protocol.images.working_size import working_size
from gpu_runner.protocol.request_parts.values import Side, Steps
from gpu_runner.protocol.request_parts.video import MAX_FRAMES
from jobs.admission.workflows.routing import makes_videos

from .base import TOOL, Tool

IMAGE_TO_VIDEO = "image2video"
FIELDS = {
    "negativePrompt": "negative_prompt",
    "steps": "num_inference_steps",
    "cfgScale": "guidance_scale",
}


class ImageToVideo(Tool):
    """Image to video. A value that is not sent is that of the workflow.

    Without ``width`` and ``height``, the video has the size of the image, rounded.
    """

    wire_names = field_names.VIDEO
    has_seed = True

    sourceImage: Link
    prompt: Annotated[str, Field(max_length=MAX_PROMPT)] = ""
    negativePrompt: Annotated[str, Field(max_length=MAX_PROMPT)] | None = None
    comfyTaskType: Annotated[str, Field(max_length=MAX_NAME)] = ""
    width: Side | None = None
    height: Side | None = None
    frames: Annotated[int, Field(ge=2, le=MAX_FRAMES)] | None = None
    fps: Annotated[float, Field(gt=0, le=120, allow_inf_nan=False)] | None = None
    steps: Steps | None = None
    cfgScale: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = None
    seed: Seed = -1

    @property
    def styles(self) -> tuple[str, ...]:
        return (self.comfyTaskType,) if self.comfyTaskType else ()

    def request_fields(self, source: BusinessSource, inputs: InputImages) -> dict[str, Any]:
        image = inputs.fetch("sourceImage", self.sourceImage)
        width, height = working_size(*inputs.size_of(image))
        given = {field: getattr(self, name) for name, field in FIELDS.items()}
        return {
            "task": "img2img",
            "init_images": (image,),
            "prompt": self.prompt,
            "seed": common.seed(self.seed),
            "width": self.width or width,
            "height": self.height or height,
            "video": {"frames": self.frames, "fps": self.fps},
            **{field: value for field, value in given.items() if value is not None},
        }


def is_available(source: BusinessSource) -> bool:
    """Whether a rule, or the default template, leads requests of this source to a workflow for videos."""
    return makes_videos(DIALECT, TOOL + IMAGE_TO_VIDEO, "img2video", source, any_style=True)
