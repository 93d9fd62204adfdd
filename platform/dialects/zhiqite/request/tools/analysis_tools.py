"""Tools that find something in an image. Their jobs return data."""

from __future__ import annotations

from typing import Any

from access.models import BusinessSource
from dialects.zhiqite.request.fields_v2 import OutputFormat
from dialects.zhiqite.request.input_images import InputImages
from dialects.zhiqite.request.json_body import Fraction, Link

from .base import Tool


class FaceDetection(Tool):
    """Faces with their landmarks, and an image of each."""

    imageUrl: Link
    targetImageFormat: OutputFormat = "png"

    def request_fields(self, source: BusinessSource, inputs: InputImages) -> dict[str, Any]:
        return {
            "task": "analyze",
            "init_images": (inputs.fetch("imageUrl", self.imageUrl),),
            "analysis": {"find": "faces", "crops": True},
        }


class ImageAudit(Tool):
    """Whether an image is NSFW."""

    imageUrl: Link
    threshold: Fraction | None = None

    def request_fields(self, source: BusinessSource, inputs: InputImages) -> dict[str, Any]:
        return {
            "task": "analyze",
            "init_images": (inputs.fetch("imageUrl", self.imageUrl),),
            "analysis": {"find": "nsfw", "threshold": self.threshold},
        }
