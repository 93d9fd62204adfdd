"""Tools that process an image without a prompt, such as upscaling and background removal."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from django.utils.translation import gettext as _
from pydantic import Field

from access.models import BusinessSource
from dialects.zhiqite.errors import WireError
from dialects.zhiqite.request import common
from dialects.zhiqite.request.controlnet import find_preprocessor, preprocessor_parameters
from dialects.zhiqite.request.fields_v2 import Number
from dialects.zhiqite.request.input_images import InputImages
from dialects.zhiqite.request.json_body import Fraction, Name
from gpu_runner.protocol.catalogs import upscalers as upscaler_catalog
from models_registry.models import Kind
from models_registry.selectors import list_for

from .base import ImageTool


class Enlarge(ImageTool):
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


class FaceRestore(ImageTool):
    """Face restoration; the rest of the image is unchanged."""

    def request_fields(self, source: BusinessSource, inputs: InputImages) -> dict[str, Any]:
        return {
            "task": "upscale",
            "init_images": (inputs.fetch("sourceImage", self.sourceImage),),
            "upscale": {"scale": 1, "upscaler": upscaler_catalog.NONE},
            "face_restoration": {},
        }


class Watermark(ImageTool):
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


class Rembg(ImageTool):
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


class ControlPreview(ImageTool):
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
