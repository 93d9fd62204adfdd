"""Scripts of a request: which ones have an effect with their arguments, and which of those are supported.

``alwayson_scripts`` copied from a webui names every script of that installation, most of them switched off. What has no
effect is accepted; what has one that this platform does not have is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext as _

from dialects.a1111.errors import Invalid, Unprocessable, WireError
from dialects.a1111.options.fallback_warnings import FallbackWarnings

from .sd_upscale import SD_UPSCALE

MAX_NAME_LENGTH = 100  # maximum length of a name in messages, in characters
NO_MODELS = (None, "", "None")
Judge = Callable[[list[Any], dict[str, Any]], bool]  # arguments, request parameters

# Selectable scripts of v1.10.1, and the one by which clients detect ControlNet.
SELECTABLE = frozenset(
    {
        "controlnet m2m",
        "custom code",
        "img2img alternative test",
        "loopback",
        "outpainting mk2",
        "poor man's outpainting",
        "prompt matrix",
        "prompts from file or textbox",
        SD_UPSCALE,
        "x/y/z plot",
    }
)


def _never(arguments: list[Any], parameters: dict[str, Any]) -> bool:
    return False


def _first_is_on(arguments: list[Any], parameters: dict[str, Any]) -> bool:
    """Whether the first argument, the switch of nearly every script, is not off."""
    return bool(arguments) and not _is_off(arguments[0])


def _soft_inpainting(arguments: list[Any], parameters: dict[str, Any]) -> bool:
    return _first_is_on(arguments, parameters) and bool(parameters.get("mask"))


# Whether a script has an effect in the original's API. Refiner, Sampler and Seed take their arguments from the page only;
# Comments and Hypertile have options, but no arguments.
HAS_EFFECT: dict[str, Judge] = {
    "comments": _never,
    "extra options": _never,
    "hypertile": _never,
    "refiner": _never,
    "sampler": _never,
    "seed": _never,
    "soft inpainting": _soft_inpainting,
    "controlnet": _never,  # read by dialects.a1111.controlnet
    # Extensions that many installations have.
    "api payload": _never,  # shows the payload of a page, which so names it
    "adetailer": _never,  # read by detail_passes.py
    "animatediff": _first_is_on,
}


def check_scripts(parameters: dict[str, Any]) -> None:
    """Refuse scripts with an effect that is not supported. Raises WireError or Unprocessable."""
    name = str(parameters["script_name"] or "")
    if name and name.lower() not in SELECTABLE:
        raise _not_found(name)
    if name and (name.lower() != SD_UPSCALE or "init_images" not in parameters):
        raise _not_supported(("body", "script_name"), name)
    for name, script in parameters["alwayson_scripts"].items():
        _check_always_on(str(name), arguments_of(script), parameters)


def warn_about_scripts(parameters: dict[str, Any], fallbacks: FallbackWarnings) -> None:
    """Warn about arguments that the original ignores too, or that this platform ignores because a script is off."""
    for name, script in parameters["alwayson_scripts"].items():
        known, arguments = str(name).lower(), arguments_of(script)
        location = ("body", "alwayson_scripts", name)
        if known == "refiner" and _first_is_on(arguments, parameters) and arguments[1:2]:
            if arguments[1] not in (*NO_MODELS, parameters["refiner_checkpoint"]):
                fallbacks.add(
                    location, _("the script Refiner has no effect in the API; use refiner_checkpoint")
                )
        elif known == "extra options" and arguments:
            fallbacks.add(location, _("the arguments of Extra options have no effect; use override_settings"))
        elif known not in HAS_EFFECT:
            message = _("the script %s is unknown and was ignored, because it is switched off")
            fallbacks.add(location, message % str(name)[:MAX_NAME_LENGTH])


def _check_always_on(name: str, arguments: list[Any], parameters: dict[str, Any]) -> None:
    known = name.lower()
    if known in SELECTABLE:
        raise WireError(422, detail="Cannot have a selectable script in the always on scripts params")
    judge = HAS_EFFECT.get(known)
    if judge is None and not (arguments and _is_off(arguments[0])):
        raise _not_found(name)
    if judge is not None and judge(arguments, parameters):
        raise _not_supported(("body", "alwayson_scripts", name), name)


def arguments_of(script: Any) -> list[Any]:
    """Arguments of an always-on script: ``{"args": [...]}``, or the list itself. An object counts as one argument."""
    arguments = script.get("args") if isinstance(script, dict) else script
    if arguments is None:
        return []
    return arguments if isinstance(arguments, list) else [arguments]


def _is_off(argument: Any) -> bool:
    if isinstance(argument, dict):
        return not argument or any(argument.get(switch) is False for switch in ("enabled", "enable"))
    return not argument or argument in ("False", "false")


def _not_found(name: str) -> WireError:
    return WireError(422, detail=f"Script '{name}' not found")


def _not_supported(location: tuple[str, ...], name: str) -> Unprocessable:
    message = _("the script %s is not supported") % name[:MAX_NAME_LENGTH]
    return Unprocessable([Invalid(message, "value_error.unsupported").at(location)])
