"""Tools that find something in an image. Their jobs return data."""

from __future__ import annotations

from typing import Any, Literal

from django.utils.translation import gettext as _

from access.models import AccessKey, BusinessSource
from dialects.zhiqite.errors import WireError
from dialects.zhiqite.request.fields_v2 import OutputFormat
from dialects.zhiqite.request.input_images import InputImages
from dialects.zhiqite.request.json_body import Fraction, Link
from jobs.errors import TextModelMissing
from jobs.models import Lane
from jobs.text_model import client, functions

from .base import Tool

INTERROGATE, IDENTIFY_STYLE = "interrogate", "identifyStyle"


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


class TagTool(Tool):
    """Tags of an image, by the registry's tagger."""

    image: Link
    threshold: Fraction | None = None

    def request_fields(self, source: BusinessSource, inputs: InputImages) -> dict[str, Any]:
        return {
            "task": "analyze",
            "init_images": (inputs.fetch("image", self.image),),
            "analysis": {"find": "tags", "threshold": self.threshold},
        }


class IdentifyStyle(TagTool):
    """The tags that name a style."""


class Interrogate(TagTool):
    """A prompt for an image: ``clip`` is a sentence by the vision model, ``deepdanbooru`` are tags."""

    lane = Lane.INTERACTIVE  # the client waits

    model: Literal["", "clip", "deepdanbooru"] = ""  # empty: what the installation has

    def is_described(self, source: BusinessSource) -> bool:
        """Whether the vision model describes the image, without a job."""
        return self.model == "clip" or (
            not self.model and source.text_model and client.is_vision_configured()
        )

    def description(self, key: AccessKey, base_url: str) -> str:
        """The sentence. Raises Refused or WireError."""
        for field in ("callbackUrl", "threshold"):
            if field in self.model_fields_set:
                message = _(
                    "%(field)s must be absent: a vision model describes the image, and the response has it"
                )
                raise WireError(message % {"field": field})
        if not key.source.text_model:
            message = _("%(source)s may not use the text model.") % {"source": key.source.name}
            raise TextModelMissing(message)
        client.require("image", vision=True)
        inputs = InputImages(key.source, base_url)
        return functions.describe(inputs.files[inputs.fetch("image", self.image).sha256])
