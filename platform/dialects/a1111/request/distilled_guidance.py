"""Forge's field ``distilled_cfg_scale``: the guidance value that FLUX.1 dev and its relatives read themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from dialects.a1111.options.options import EffectiveOptions
from dialects.a1111.schema.coercion import number
from dialects.a1111.schema.fields import Field, parse

# Not one of A1111's own fields, so that it is neither echoed nor in the schema.
FIELD = "distilled_cfg_scale"


def apply_distilled_guidance(
    parameters: dict[str, Any], body: Mapping[str, Any], settings: EffectiveOptions
) -> None:
    """Use the value as guidance with checkpoints that read one. ``cfg_scale``, which Forge leaves at 1, has no place there."""
    value = parse({FIELD: Field(number)}, dict(body))[FIELD]
    if value is None:
        return
    if not settings.model_defaults.embedded_guidance:
        message = _("distilled_cfg_scale has no effect: the checkpoint reads no guidance value")
        settings.fallbacks.add(("body", FIELD), message)
        return
    if body.get("cfg_scale") is not None and parameters["cfg_scale"] not in (1, value):
        message = _("cfg_scale has no effect beside distilled_cfg_scale with this checkpoint")
        settings.fallbacks.add(("body", "cfg_scale"), message)
    parameters["cfg_scale"] = value
