"""Fields that A1111 acts on and this platform does not yet: refused by name, unless they ask for nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext as _

from dialects.a1111.errors import Invalid, Unprocessable, WireError


def _off(value: Any) -> bool:
    return not value


def _one(value: Any) -> bool:
    return value in (None, 1.0)


ASKS_FOR_NOTHING: dict[str, Callable[[Any], bool]] = {
    "latent_mask": _off,
}

# Scripts that clients name in every request because they once saw them listed. The first three carry no effect even
# in the original; the others only with arguments.
WITHOUT_EFFECT = frozenset({"refiner", "sampler", "seed"})
READ_ELSEWHERE = frozenset({"controlnet"})
NOT_YET = frozenset({"adetailer", "animatediff"})
SELECTABLE = frozenset({"controlnet m2m"})  # listed, because clients look for it


def refuse_unsupported(parameters: dict[str, Any]) -> None:
    wrong = [name for name, harmless in ASKS_FOR_NOTHING.items() if not harmless(parameters.get(name))]
    if wrong:
        raise Unprocessable([_not_supported().at(("body", name)) for name in wrong])
    if parameters["script_name"]:
        raise _no_script(parameters["script_name"])
    for name, script in parameters["alwayson_scripts"].items():
        _refuse_script(name, script)


def _refuse_script(name: str, script: Any) -> None:
    known = str(name).lower()
    if known in SELECTABLE:
        raise WireError(422, detail="Cannot have a selectable script in the always on scripts params")
    if known not in WITHOUT_EFFECT | READ_ELSEWHERE | NOT_YET:
        raise _no_script(name)
    arguments = script.get("args") if isinstance(script, dict) else script
    if known in NOT_YET and not _are_empty(arguments):
        raise Unprocessable([_not_supported().at(("body", "alwayson_scripts", name))])


def _are_empty(arguments: Any) -> bool:
    return not arguments or (
        isinstance(arguments, list) and all(_is_empty(argument) for argument in arguments)
    )


def _is_empty(argument: Any) -> bool:
    return not argument or (isinstance(argument, dict) and argument.get("enabled") is False)


def _no_script(name: str) -> WireError:
    return WireError(422, detail=f"Script '{name}' not found")


def _not_supported() -> Invalid:
    return Invalid(_("not supported yet: leave it out or at its default"), "value_error.unsupported")
