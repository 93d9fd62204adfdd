"""Base class of tools. Each use of a tool is a job."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from access.models import BusinessSource
from dialects.zhiqite import field_names
from dialects.zhiqite.field_names import Names
from dialects.zhiqite.request.fields_v2 import OutputFormat
from dialects.zhiqite.request.input_images import InputImages
from dialects.zhiqite.request.json_body import Id, Link, Wire
from jobs.models import Lane

TOOL = "tool/"  # prefix of the operation of tool jobs


class Tool(Wire, ABC):
    """Body of a tool."""

    wire_names: ClassVar[Names] = field_names.TOOLS  # for messages of admission
    has_seed: ClassVar[bool] = False
    lane: ClassVar[Lane] = Lane.ASYNC

    businessTaskId: Id
    callbackUrl: Link = ""

    @abstractmethod
    def request_fields(self, source: BusinessSource, inputs: InputImages) -> dict[str, Any]:
        """Fields of the GenerationRequest. Raises WireError or Refused."""

    @property
    def styles(self) -> tuple[str, ...]:
        """Names by which operators can map the request to a workflow template."""
        return ()


class ImageTool(Tool):
    """Body of a tool that makes an image of an image."""

    sourceImage: Link
    targetImageFormat: OutputFormat = "png"
