"""Reject fields that A1111 supports and this platform does not, unless their value has no effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext as _

from dialects.a1111.errors import Invalid, Unprocessable

from .scripts import check_scripts


def _off(value: Any) -> bool:
    return not value


HAS_NO_EFFECT: dict[str, Callable[[Any], bool]] = {
    "latent_mask": _off,
}


def refuse_unsupported(parameters: dict[str, Any]) -> None:
    unsupported = [
        name for name, has_no_effect in HAS_NO_EFFECT.items() if not has_no_effect(parameters.get(name))
    ]
    if unsupported:
        raise Unprocessable([_not_supported().at(("body", name)) for name in unsupported])
    check_scripts(parameters)


def _not_supported() -> Invalid:
    return Invalid(_("not supported: omit it or use its default value"), "value_error.unsupported")
