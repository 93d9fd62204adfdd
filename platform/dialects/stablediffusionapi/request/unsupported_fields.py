"""What the vendor offers and this platform does not: refused by name, unless it asks for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext as _

from dialects.stablediffusionapi.endpoints import Endpoint

ASKS_FOR_NOTHING = ("", "0", "0.0")
SECOND_PASS = ("upscale", "highres_fix")


def fields(endpoint: Endpoint, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Fields and messages."""
    for name, why in _asked_for(endpoint, values):
        words = {"field": name.replace("_", " "), "reason": why}
        yield name, _("The %(field)s is not supported here: %(reason)s.") % words


def _asked_for(endpoint: Endpoint, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("ip_adapter_id", "ip_adapter_scale", "ip_adapter_image"):
        if (values.get(name) or "") not in ASKS_FOR_NOTHING:
            yield name, _("there is no IP-Adapter")
    if values.get("self_attention"):
        yield "self_attention", _("there is no self-attention guidance")
    if values.get("multi_lingual") and not _is_plain(values):
        yield "multi_lingual", _("there is no translator; write the prompt in English")
    if _begins_with_a_picture(endpoint, values):
        for name in SECOND_PASS:
            if values.get(name):
                yield name, _("only pictures drawn from text have a second pass")


def _begins_with_a_picture(endpoint: Endpoint, values: dict[str, Any]) -> bool:
    if endpoint.task == "controlnet":
        return bool(values.get("init_image") and (values.get("control_image") or values.get("mask_image")))
    return endpoint.task in ("img2img", "inpaint")


def _is_plain(values: dict[str, Any]) -> bool:
    """Nothing to translate, as far as letters tell."""
    return all((values.get(name) or "").isascii() for name in ("prompt", "negative_prompt"))
