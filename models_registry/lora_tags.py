"""Resolves LoRA tags of prompts, such as ``<lora:NAME:0.8>``, to files of the registry."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from access.models import BusinessSource
from gpu_runner.protocol.prompt.extra_networks import InvalidTag, Tag
from gpu_runner.protocol.request_parts.values import MAX_LORA_RANK
from models_registry.models import Kind, ModelFile
from models_registry.selectors import resolve


def lora_use(tag: Tag, source: BusinessSource, *, dialect: str = "") -> dict[str, Any]:
    """Fields of a ``LoraUse``; its weights are validated later. Raises as ``lora_file``."""
    return use_of(lora_file(tag, source, dialect=dialect), tag)


def lora_file(tag: Tag, source: BusinessSource, *, dialect: str = "") -> ModelFile:
    """The LoRA of a tag.

    Raises InvalidTag for tags of other kinds, without name or with an invalid rank, and ModelNotFound.
    """
    if not tag.is_lora:
        raise InvalidTag(_("models of this kind are not supported"))
    if tag.rank is not None and tag.rank < 1:
        raise InvalidTag(_("the rank must be at least 1"))
    if not tag.name:
        raise InvalidTag(_("the name is missing"))
    return resolve(Kind.LORA, tag.name, source, dialect=dialect)


def use_of(file: ModelFile, tag: Tag) -> dict[str, Any]:
    """Fields of a ``LoraUse`` of this file, with the weights of the tag."""
    rank = None if tag.rank is None else min(tag.rank, MAX_LORA_RANK)
    return {"name": file.name, "unet": tag.unet, "text_encoder": tag.text_encoder, "rank": rank}
