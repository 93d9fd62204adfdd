"""For whom examples are written: a source and its key, with names of models and images that it may use."""

from __future__ import annotations

from access.models import AccessKey, BusinessSource
from jobs.images.signed_urls import output_url
from jobs.models import Job, Output, OutputKind
from models_registry.errors import ModelNotFound
from models_registry.models import Kind, StylePreset
from models_registry.selectors import resolve

from .reference import Context

PLACEHOLDER_IMAGE = "https://example.com/product.png"
LAST_JOBS = 20  # newest jobs among which an image for the examples is searched


def context_of(source: BusinessSource, key: AccessKey | None, base_url: str) -> Context:
    """The context of a source and one of its keys, if it has one."""
    try:
        checkpoint = resolve(Kind.CHECKPOINT, "", source).name
    except ModelNotFound:
        checkpoint = "shapes"
    presets = StylePreset.objects.usable().offered_to(source).filter(task=StylePreset.Task.TXT2IMG)
    style = presets.order_by("key").values_list("key", flat=True).first() or ""
    return Context(source, key, base_url, checkpoint, _image_url(source, base_url), style)


def _image_url(source: BusinessSource, base: str) -> str:
    newest = (
        Job.objects.filter(source=source).order_by("-created_at").values_list("pk", flat=True)[:LAST_JOBS]
    )
    images = Output.objects.filter(job__in=list(newest), kind=OutputKind.IMAGE).exclude(nsfw=True)
    image = images.select_related("job__source").order_by("-job__created_at", "index").first()
    return output_url(image, base) if image else PLACEHOLDER_IMAGE
