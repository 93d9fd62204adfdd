"""Image tools, such as outpainting, upscaling and background removal. Each use is a job."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Any, Literal

from django.utils.translation import gettext as _
from pydantic import Field

from access.models import AccessKey, BusinessSource
from dialects.zhiqite.authentication import DIALECT
from dialects.zhiqite.errors import WireError
from gpu_runner.protocol import InputImage, upscaler_catalog
from gpu_runner.protocol.working_size import working_size
from jobs.admission.submission import Submission
from jobs.images import outpaint_canvas
from jobs.images.input_files import read_size
from jobs.outbound.callbacks.outbox import CallbackRequest
from models_registry.models import Kind
from models_registry.selectors import list_for

from . import common
from .controlnet import find_preprocessor, preprocessor_parameters
from .fields_v2 import Number, OutputFormat
from .input_images import InputImages
from .json_body import Count, Fraction, Id, Link, Name, Prompt, Seed, Wire

MAX_GENERATED_SIDE = 1024  # pixels; larger generations tend to repeat the subject
ERASE_EXPANSION = -4  # pixels around the erased object that are generated too
OUTPAINT_BLEND = 8  # pixels of the image's edge that are generated together with the area beyond it


class Tool(Wire, ABC):
    """Body of a tool."""

    businessTaskId: Id
    sourceImage: Link
    callbackUrl: Link = ""
    targetImageFormat: OutputFormat = "png"

    @abstractmethod
    def request_fields(self, source: BusinessSource, inputs: InputImages) -> dict[str, Any]:
        """Fields of the GenerationRequest. Raises WireError or Refused."""


class InpaintTool(Tool):
    """Generates a part of an image or its surroundings; the other pixels are kept exactly."""

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


class Enlarge(Tool):
    """Upscaling. ``width`` and ``height``, if both are given, take precedence over ``scale``; the image is cropped to them."""

    scale: float = Field(default=2.0, ge=1, le=4, allow_inf_nan=False)
    width: int = Field(default=0, ge=0, le=8192)
    height: int = Field(default=0, ge=0, le=8192)
    upscaler: Name = ""

    def request_fields(self, source: BusinessSource, inputs: InputImages) -> dict[str, Any]:
        return {
            "task": "upscale",
            "init_images": (inputs.fetch("sourceImage", self.sourceImage),),
            "upscale": {
                "scale": self.scale,
                "width": self.width if self.height else 0,
                "height": self.height if self.width else 0,
                "upscaler": common.upscaler_name(self.upscaler or self.default_upscaler(source), source),
            },
        }

    def default_upscaler(self, source: BusinessSource) -> str:
        return upscaler_catalog.LANCZOS


class SuperResolution(Enlarge):
    """Upscaling with an upscaler model, if the registry has one."""

    def default_upscaler(self, source: BusinessSource) -> str:
        first = list_for(Kind.UPSCALER, source).order_by("-is_default", "created_at", "pk").first()
        return first.name if first else upscaler_catalog.LANCZOS


class FaceRestore(Tool):
    """Face restoration; the rest of the image is unchanged."""

    def request_fields(self, source: BusinessSource, inputs: InputImages) -> dict[str, Any]:
        return {
            "task": "upscale",
            "init_images": (inputs.fetch("sourceImage", self.sourceImage),),
            "upscale": {"scale": 1, "upscaler": upscaler_catalog.NONE},
            "face_restoration": {},
        }


class Watermark(Tool):
    """Adds a text in a corner of the image."""

    watermarkText: Annotated[str, Field(min_length=1, max_length=200)]
    position: Literal["top-left", "top-right", "bottom-left", "bottom-right"] = "bottom-right"
    opacity: Fraction = 0.3

    def request_fields(self, source: BusinessSource, inputs: InputImages) -> dict[str, Any]:
        label = {"text": self.watermarkText, "corner": self.position, "opacity": self.opacity}
        return {
            "task": "upscale",
            "init_images": (inputs.fetch("sourceImage", self.sourceImage),),
            "upscale": {"scale": 1, "upscaler": upscaler_catalog.NONE},
            "labels": (label,),
        }


class Rembg(Tool):
    """Background removal."""

    maskOnly: bool = False

    def request_fields(self, source: BusinessSource, inputs: InputImages) -> dict[str, Any]:
        if self.targetImageFormat != "png" and not self.maskOnly:
            raise WireError(_("targetImageFormat must be png (the output has an alpha channel)"))
        return {
            "task": "cut_out",
            "init_images": (inputs.fetch("sourceImage", self.sourceImage),),
            "cut_out": {"mask_only": self.maskOnly},
        }


class ControlPreview(Tool):
    """Control map of a preprocessor, with the parameters of a ControlNet unit."""

    preprocessor: Name
    processor_res: int = Field(default=-1, ge=-1, le=4096)
    threshold_a: Number = -1.0
    threshold_b: Number = -1.0

    def request_fields(self, source: BusinessSource, inputs: InputImages) -> dict[str, Any]:
        unit = {
            "module": find_preprocessor(self.preprocessor, "preprocessor").name,
            **preprocessor_parameters(self),
        }
        return {
            "task": "control_map",
            "init_images": (inputs.fetch("sourceImage", self.sourceImage),),
            "controls": (unit,),
        }


TOOL = "tool/"  # prefix of the operation of tool jobs
TOOLS: dict[str, type[Tool]] = {
    "imgExpand": ImgExpand,
    "erase": Erase,
    "enlarge": Enlarge,
    "superResolution": SuperResolution,
    "rembg": Rembg,
    "cnt/preview": ControlPreview,
    "faceRestore": FaceRestore,
    "watermark/add": Watermark,
}


def read_submission(code: str, key: AccessKey, body: Tool, base_url: str) -> Submission:
    """The submission of a tool's body; ``code`` is its path. Raises WireError or Refused."""
    inputs = InputImages(key.source)
    fields = {
        "output_format": common.output_format(body.targetImageFormat),
        **body.request_fields(key.source, inputs),
    }
    request = common.validated(fields)
    used = request.input_hashes()
    return Submission(
        source=key.source,
        key=key,
        dialect=DIALECT,
        operation=TOOL + code,
        request=request,
        received=body.received(),
        input_files={sha256: data for sha256, data in inputs.files.items() if sha256 in used},
        external_id=body.businessTaskId,
        id_may_repeat=True,
        callback=CallbackRequest(body.callbackUrl, base_url=base_url) if body.callbackUrl else None,
    )
