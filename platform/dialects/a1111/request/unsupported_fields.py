"""Reject fields that A1111 supports and this platform does not, unless their value has no effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext as _

from dialects.a1111.errors import Invalid, Unprocessable, WireError


def _off(value: Any) -> bool:
    return not value


def _one(value: Any) -> bool:
    return value in (None, 1.0)


HAS_NO_EFFECT: dict[str, Callable[[Any], bool]] = {
    "latent_mask": _off,
}

# Scripts that clients list in every request. The first three have no effect in the original;
# the others have one only with arguments.
WITHOUT_EFFECT = frozenset({"refiner", "sampler", "seed"})
HANDLED_ELSEWHERE = frozenset({"controlnet"})
UNSUPPORTED_SCRIPTS = frozenset({"adetailer", "animatediff"})
SELECTABLE = frozenset({"controlnet m2m"})  # listed for clients that check for it


def refuse_unsupported(parameters: dict[str, Any]) -> None:
    unsupported = [
        name for name, has_no_effect in HAS_NO_EFFECT.items() if not has_no_effect(parameters.get(name))
    ]
    if unsupported:
        raise Unprocessable([_not_supported().at(("body", name)) for name in unsupported])
    if parameters["script_name"]:
        raise _script_not_found(parameters["script_name"])
    for name, script in parameters["alwayson_scripts"].items():
        _refuse_script(name, script)


def _refuse_script(name: str, script: Any) -> None:
    known = str(name).lower()
    if known in SELECTABLE:
        raise WireError(422, detail="Cannot have a selectable script in the always on scripts params")
    if known not in WITHOUT_EFFECT | HANDLED_ELSEWHERE | UNSUPPORTED_SCRIPTS:
        raise _script_not_found(name)
    arguments = script.get("args") if isinstance(script, dict) else script
    if known in UNSUPPORTED_SCRIPTS and not _all_empty(arguments):
        raise Unprocessable([_not_supported().at(("body", "alwayson_scripts", name))])


def _all_empty(arguments: Any) -> bool:
    return not arguments or (
        isinstance(arguments, list) and all(_is_empty(argument) for argument in arguments)
    )


def _is_empty(argument: Any) -> bool:
    return not argument or (isinstance(argument, dict) and argument.get("enabled") is False)


def _script_not_found(name: str) -> WireError:
    return WireError(422, detail=f"Script '{name}' not found")


def _not_supported() -> Invalid:
    return Invalid(_("not supported: omit it or use its default value"), "value_error.unsupported")
