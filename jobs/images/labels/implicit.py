"""Implicit labels: what the file of one image says about its origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from django.conf import settings

from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.request_parts.outputs import Mark
from jobs.models import Job

from . import aigc, xmp

LABELED_TASKS = frozenset({"txt2img", "img2img", "change_background", "upscale", "train_lora"})
DOCUMENT_ID = "xmp.did:"


@dataclass(frozen=True)
class ImplicitLabel:
    """Metadata of one file: the AIGC object, and the IPTC digital source type. Empty values are not written."""

    aigc: dict[str, str] = field(default_factory=dict)
    source_type: str = ""
    number: str = (
        ""  # the image's, by which its job is found, even if the request gave a ProduceID of its own
    )

    @property
    def aigc_json(self) -> str:
        return aigc.as_json(self.aigc) if self.aigc else ""

    @property
    def xmp(self) -> bytes:
        # Without the AIGC object, files of equal images are equal.
        document_id = DOCUMENT_ID + self.number if self.aigc else ""
        return xmp.packet(aigc=self.aigc_json, source_type=self.source_type, document_id=document_id)


NONE = ImplicitLabel()


def is_generated(request: GenerationRequest) -> bool:
    """Whether the outputs are labeled. Control maps, masks and cutouts contain nothing that a model invented."""
    return request.task in LABELED_TASKS


def source_type(request: GenerationRequest) -> str:
    """IPTC digital source type: an image from text alone, or one that was made from an input image."""
    return xmp.GENERATED if request.task in ("txt2img", "train_lora") else xmp.COMPOSITE


def label_of(
    job: Job, request: GenerationRequest, number: str, later: Mapping[str, str] = MappingProxyType({})
) -> ImplicitLabel:
    """The implicit label of one output. ``later``: AIGC values that a request gave after generation."""
    own = {**requested(request.marks), **later}
    if not is_generated(request):
        return ImplicitLabel(aigc.aigc_object("", "", number, own), number=number)
    values = aigc.aigc_object(job.source.producer, job.source.propagator, number, own)
    kind = source_type(request) if settings.DIGITAL_SOURCE_TYPE else ""
    return ImplicitLabel(values, kind, number)


def requested(marks: Sequence[Mark]) -> dict[str, str]:
    """The AIGC values that a request gave as a mark."""
    values: dict[str, str] = {}
    for mark in marks:
        if mark.key == aigc.KEY:
            values |= aigc.parsed(mark.text)
    return values
