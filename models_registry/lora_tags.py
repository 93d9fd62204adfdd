"""Which LoRA a tag in a prompt means, ``<lora:NAME:0.8>``."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from access.models import BusinessSource
from gpu_runner.protocol.generation_request import MOST_RANKS
from gpu_runner.protocol.prompt.extra_networks import BadTag, Tag
from models_registry.models import Kind
from models_registry.selectors import resolve


def lora_use(tag: Tag, source: BusinessSource) -> dict[str, Any]:
    """A LoraUse, whose weights are not checked yet. Raises BadTag or ModelNotFound."""
    if not tag.is_lora:
        raise BadTag(_("there are no models of this kind here"))
    if tag.rank is not None and tag.rank < 1:
        raise BadTag(_("it has no ranks below 1"))
    if not tag.name:
        raise BadTag(_("it has no name"))
    file = resolve(Kind.LORA, tag.name, source)
    rank = None if tag.rank is None else min(tag.rank, MOST_RANKS)
    return {"name": file.name, "unet": tag.unet, "text_encoder": tag.text_encoder, "rank": rank}
