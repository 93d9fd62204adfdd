"""Tools that generate a part of an image: outpainting and erasing."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from pydantic import Field

from access.models import BusinessSource
from dialects.zhiqite.errors import WireError
from dialects.zhiqite.request import common
from dialects.zhiqite.request.input_images import InputImages
from dialects.zhiqite.request.json_body import Count, Link, Name, Prompt, Seed
from gpu_runner.protocol import InputImage
from gpu_runner.protocol.images.working_size import working_size
from jobs.images import outpaint_canvas
from jobs.images.input_files import read_size

from .base import ImageTool

MAX_GENERATED_SIDE = 1024  # pixels; larger generations tend to repeat the subject
ERASE_EXPANSION = -4  # pixels around the erased object that are generated too
OUTPAINT_BLEND = 8  # pixels of the image's edge that are generated together with the area beyond it


class InpaintTool(ImageTool):
    """Generates a part of an image or its surroundings; the other pixels are kept exactly."""

    has_seed = True

    prompt: Prompt = ""
    negativePrompt: Prompt = ""
    sampleStep: int = Field(default=25, ge=0, le=50)
    sampler: Name = "DPM++ 2M Karras"
    promptGuideFactor: float = Field(default=7.0, ge=1, le=45, allow_inf_nan=False)
    seed: Seed = -1
    imageCount: Count = 1
    baseModelCode: Name = ""

    def inpaint_fields(
        self, source: BusinessSource, init: InputImage, mask: dict[str, Any], size: tuple[int, int]
    ) -> dict[str, Any]:
        """Fields of the GenerationRequest for an image of ``size`` (width, height) and its mask."""
        width, height = working_size(*size, min(max(size), MAX_GENERATED_SIDE))
        return {
            "task": "change_background",
            "init_images": (init,),
            "change_background": {
                **mask,
                "content": "fill",
                "output_width": size[0],
                "output_height": size[1],
            },
            "width": width,
            "height": height,
            "strength": 1.0,
            "exact_steps": True,
            "checkpoint": self.baseModelCode,
            "prompt": self.prompt,
            "negative_prompt": self.negativePrompt,
            "loras": common.loras(self.prompt, source),
            "num_inference_steps": max(1, self.sampleStep),
            "guidance_scale": self.promptGuideFactor,
            "seed": common.seed(self.seed),
            "num_images": self.imageCount,
            **common.sampling(self.sampler, "sampler"),
        }


class ImgExpand(InpaintTool):
    verticalExpansionRatio: float = Field(default=1.0, ge=1, le=4, allow_inf_nan=False)
    horizontalExpansionRatio: float = Field(default=1.0, ge=1, le=4, allow_inf_nan=False)

    def request_fields(self, source: BusinessSource, inputs: InputImages) -> dict[str, Any]:
        if self.verticalExpansionRatio == self.horizontalExpansionRatio == 1:
            raise WireError(_("verticalExpansionRatio or horizontalExpansionRatio must be greater than 1"))
        image = inputs.files[inputs.fetch("sourceImage", self.sourceImage).sha256]
        try:
            larger = outpaint_canvas.expanded(image, self._margins(image))
        except outpaint_canvas.TooLarge as error:
            raise WireError(_("The expanded image would be too large: %s") % error) from None
        mask = {
            "mask": inputs.add(larger.mask),
            "mask_invert": True,
            "mask_expansion": -OUTPAINT_BLEND,
            "feather": OUTPAINT_BLEND,
        }
        return self.inpaint_fields(source, inputs.add(larger.canvas), mask, (larger.width, larger.height))

    def _margins(self, data: bytes) -> outpaint_canvas.Margins:
        """Margins in pixels that center the image on its canvas."""
        width, height = read_size(data)
        extra_width = round(width * self.horizontalExpansionRatio) - width
        extra_height = round(height * self.verticalExpansionRatio) - height
        left, top = extra_width // 2, extra_height // 2
        return outpaint_canvas.Margins(left, top, extra_width - left, extra_height - top)


class RemoveMark(InpaintTool):
    """Removes what has letters: the runner finds them and generates what is there instead. Logos are not found."""

    def request_fields(self, source: BusinessSource, inputs: InputImages) -> dict[str, Any]:
        image = inputs.fetch("sourceImage", self.sourceImage)
        letters = {"cut_out_by": "letters", "mask_expansion": ERASE_EXPANSION}
        return self.inpaint_fields(source, image, letters, inputs.size_of(image))


class Erase(InpaintTool):
    maskImage: Link

    def request_fields(self, source: BusinessSource, inputs: InputImages) -> dict[str, Any]:
        image = inputs.fetch("sourceImage", self.sourceImage)
        mask = {
            "mask": inputs.fetch("maskImage", self.maskImage),
            "mask_invert": True,
            "mask_expansion": ERASE_EXPANSION,
        }
        return self.inpaint_fields(source, image, mask, inputs.size_of(image))
