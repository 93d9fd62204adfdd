"""Fields of the vendor that this platform does not support. They are refused unless their value has no effect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext as _

from dialects.stablediffusionapi.endpoints import Endpoint
from jobs.text_model import client

from . import editing_fields

WITHOUT_EFFECT = ("", "0", "0.0")
HIRES_FIELDS = ("upscale", "highres_fix")
NOT_IN_VIDEOS = (
    *("mask_image", "control_image", "controlnet_model", "panorama", "face_enhance", "safety_checker"),
    *HIRES_FIELDS,
)


def fields(endpoint: Endpoint, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Unsupported fields of the request, each with its error message."""
    for name, reason in _unsupported(endpoint, values):
        texts = {"field": name.replace("_", " "), "reason": reason}
        yield name, _("The %(field)s is not supported: %(reason)s.") % texts


def _unsupported(endpoint: Endpoint, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("ip_adapter_id", "ip_adapter_scale", "ip_adapter_image"):
        if (values.get(name) or "") not in WITHOUT_EFFECT:
            yield name, _("IP-Adapter is not available")
    if values.get("self_attention"):
        yield "self_attention", _("self-attention guidance is not available")
    if values.get("multi_lingual") and not is_ascii(values) and not client.is_configured():
        yield (
            "multi_lingual",
            _("translation needs a text model (TEXT_MODEL_URL); send the prompt in English"),
        )
    if values.get("as_video"):
        yield "as_video", _("videos are not available")
    if endpoint.makes_videos:
        for name in NOT_IN_VIDEOS:
            if values.get(name):
                yield name, _("it is not available for videos")
        return
    if _is_img2img(endpoint, values):
        for name in HIRES_FIELDS:
            if values.get(name):
                yield name, _("it is available for text2img only")


def _is_img2img(endpoint: Endpoint, values: dict[str, Any]) -> bool:
    if endpoint.task == "controlnet":
        return bool(values.get("init_image") and (values.get("control_image") or values.get("mask_image")))
    return endpoint.task in ("img2img", "inpaint") or endpoint.task in editing_fields.EDITING


def is_ascii(values: dict[str, Any]) -> bool:
    """Whether the prompts need no translation: ASCII text is taken for English."""
    return all((values.get(name) or "").isascii() for name in ("prompt", "negative_prompt"))
