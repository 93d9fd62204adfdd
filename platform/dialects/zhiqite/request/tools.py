"""The tools that make pictures of pictures: each is a job like any other."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from typing import Annotated, Any, Literal

from django.utils.translation import gettext as _
from PIL import Image
from pydantic import Field

from access.models import AccessKey, BusinessSource
from dialects.zhiqite.authentication import DIALECT
from dialects.zhiqite.errors import WireError
from gpu_runner.protocol import Picture, upscaler_catalog
from gpu_runner.protocol.working_size import working_size
from jobs.admission.submission import Submission
from jobs.images import outpaint_canvas
from jobs.outbound.callbacks.outbox import CallbackRequest
from models_registry.models import Kind
from models_registry.selectors import list_for

from . import common
from .controlnet import known_module, sliders
from .fields_v2 import Number, OutputFormat
from .input_images import Inputs
from .json_body import Count, Fraction, Id, Link, Name, Prompt, Seed, Wire

DRAWN_SIDE = 1024  # of what is drawn anew: beyond it, pictures fall apart into repetitions
ERASED_RIM = -4  # pixels around an erased thing that go with it
SEAM = 8  # pixels of a picture's edge that are drawn anew together with what is beyond


class Tool(Wire, ABC):
    businessTaskId: Id
    sourceImage: Link
    callbackUrl: Link = ""
    targetImageFormat: OutputFormat = "png"

    @abstractmethod
    def wanted(self, source: BusinessSource, inputs: Inputs) -> dict[str, Any]:
        """The fields of the canonical request. Raises WireError or Refused."""


class Repainting(Tool):
    """What is drawn anew in or around a picture, whose own pixels stay as they are to the byte."""

    prompt: Prompt = ""
    negativePrompt: Prompt = ""
    sampleStep: int = Field(default=25, ge=0, le=50)
    sampler: Name = "DPM++ 2M Karras"
    promptGuideFactor: float = Field(default=7.0, ge=1, le=45, allow_inf_nan=False)
    seed: Seed = -1
    imageCount: Count = 1
    baseModelCode: Name = ""

    def repainted(
        self, source: BusinessSource, init: Picture, mask: dict[str, Any], size: tuple[int, int]
    ) -> dict[str, Any]:
        width, height = working_size(*size, min(max(size), DRAWN_SIDE))
        return {
            "task": "change_background",
            "init_images": (init,),
            "change_background": {**mask, "output_width": size[0], "output_height": size[1]},
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


class ImgExpand(Repainting):
    verticalExpansionRatio: float = Field(default=1.0, ge=1, le=4, allow_inf_nan=False)
    horizontalExpansionRatio: float = Field(default=1.0, ge=1, le=4, allow_inf_nan=False)

    def wanted(self, source: BusinessSource, inputs: Inputs) -> dict[str, Any]:
        if self.verticalExpansionRatio == self.horizontalExpansionRatio == 1:
            raise WireError(_("verticalExpansionRatio and horizontalExpansionRatio leave nothing to draw"))
        picture = inputs.files[inputs.fetched(self.sourceImage).sha256]
        try:
            larger = outpaint_canvas.expanded(picture, self._margins(picture))
        except outpaint_canvas.TooLarge as error:
            raise WireError(_("The expanded picture would be too large: %s") % error) from None
        mask = {
            "mask": inputs.kept(larger.mask),
            "mask_invert": True,
            "mask_expansion": -SEAM,
            "feather": SEAM,
        }
        return self.repainted(source, inputs.kept(larger.canvas), mask, (larger.width, larger.height))

    def _margins(self, data: bytes) -> outpaint_canvas.Margins:
        """The picture is in the middle of its canvas."""
        with Image.open(io.BytesIO(data)) as picture:
            across = round(picture.width * self.horizontalExpansionRatio) - picture.width
            down = round(picture.height * self.verticalExpansionRatio) - picture.height
        return outpaint_canvas.Margins(across // 2, down // 2, across - across // 2, down - down // 2)


class Erase(Repainting):
    maskImage: Link

    def wanted(self, source: BusinessSource, inputs: Inputs) -> dict[str, Any]:
        picture = inputs.fetched(self.sourceImage)
        hidden = {"mask": inputs.fetched(self.maskImage), "mask_invert": True, "mask_expansion": ERASED_RIM}
        return self.repainted(source, picture, hidden, _size(inputs, picture))


class Enlarge(Tool):
    """``width`` and ``height`` together beat the factor; the picture is cut to them."""

    scale: float = Field(default=2.0, ge=1, le=4, allow_inf_nan=False)
    width: int = Field(default=0, ge=0, le=8192)
    height: int = Field(default=0, ge=0, le=8192)
    upscaler: Name = ""

    def wanted(self, source: BusinessSource, inputs: Inputs) -> dict[str, Any]:
        return {
            "task": "upscale",
            "init_images": (inputs.fetched(self.sourceImage),),
            "upscale": {
                "scale": self.scale,
                "width": self.width if self.height else 0,
                "height": self.height if self.width else 0,
                "upscaler": common.upscaler_name(self.upscaler or self.default(source), source),
            },
        }

    def default(self, source: BusinessSource) -> str:
        return upscaler_catalog.LANCZOS


class SuperResolution(Enlarge):
    """By a model, if the registry has one."""

    def default(self, source: BusinessSource) -> str:
        first = list_for(Kind.UPSCALER, source).order_by("-is_default", "created_at", "pk").first()
        return first.name if first else upscaler_catalog.LANCZOS


class FaceRestore(Tool):
    """The faces alone; the rest of the picture stays as it is."""

    def wanted(self, source: BusinessSource, inputs: Inputs) -> dict[str, Any]:
        return {
            "task": "upscale",
            "init_images": (inputs.fetched(self.sourceImage),),
            "upscale": {"scale": 1, "upscaler": upscaler_catalog.NONE},
            "face_restoration": {},
        }


class Watermark(Tool):
    """Words in a corner; the picture itself stays as it is."""

    watermarkText: Annotated[str, Field(min_length=1, max_length=200)]
    position: Literal["top-left", "top-right", "bottom-left", "bottom-right"] = "bottom-right"
    opacity: Fraction = 0.3

    def wanted(self, source: BusinessSource, inputs: Inputs) -> dict[str, Any]:
        label = {"text": self.watermarkText, "corner": self.position, "opacity": self.opacity}
        return {
            "task": "upscale",
            "init_images": (inputs.fetched(self.sourceImage),),
            "upscale": {"scale": 1, "upscaler": upscaler_catalog.NONE},
            "labels": (label,),
        }


class Rembg(Tool):
    maskOnly: bool = False

    def wanted(self, source: BusinessSource, inputs: Inputs) -> dict[str, Any]:
        if self.targetImageFormat != "png" and not self.maskOnly:
            raise WireError(_("targetImageFormat: what is cut out is transparent around it: png"))
        return {
            "task": "cut_out",
            "init_images": (inputs.fetched(self.sourceImage),),
            "cut_out": {"mask_only": self.maskOnly},
        }


class ControlPreview(Tool):
    """What a ControlNet would be shown; the sliders are a unit's."""

    preprocessor: Name
    processor_res: int = Field(default=-1, ge=-1, le=4096)
    threshold_a: Number = -1.0
    threshold_b: Number = -1.0

    def wanted(self, source: BusinessSource, inputs: Inputs) -> dict[str, Any]:
        unit = {"module": known_module(self.preprocessor, "preprocessor").name, **sliders(self)}
        return {
            "task": "control_map",
            "init_images": (inputs.fetched(self.sourceImage),),
            "controls": (unit,),
        }


TOOL = "tool/"  # prefix of the operation of a tool's job
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


def read_submission(code: str, key: AccessKey, asked: Tool, base_url: str) -> Submission:
    """Raises WireError or Refused for whatever cannot become one."""
    inputs = Inputs(key.source)
    wanted = {
        "output_format": common.output_format(asked.targetImageFormat),
        **asked.wanted(key.source, inputs),
    }
    request = common.canonical(wanted)
    named = request.pictures()
    return Submission(
        source=key.source,
        key=key,
        dialect=DIALECT,
        operation=TOOL + code,
        request=request,
        received=asked.received(),
        pictures={sha256: data for sha256, data in inputs.files.items() if sha256 in named},
        external_id=asked.businessTaskId,
        id_may_repeat=True,
        callback=CallbackRequest(asked.callbackUrl, base_url=base_url) if asked.callbackUrl else None,
    )


def _size(inputs: Inputs, picture: Picture) -> tuple[int, int]:
    with Image.open(io.BytesIO(inputs.files[picture.sha256])) as opened:
        return opened.size
