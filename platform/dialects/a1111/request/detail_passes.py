"""Detail passes from ``alwayson_scripts.ADetailer``."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from access.models import BusinessSource
from dialects.a1111.errors import Location, Unprocessable
from dialects.a1111.options.options import EffectiveOptions
from dialects.adetailer import Context, detail_passes
from dialects.adetailer_arguments import SCRIPT, Arguments, InvalidUnit, Path, read_arguments
from gpu_runner.protocol.request_parts.details import FaceRestoration

from .faces import face_restoration
from .prompts import Prompts
from .sampling import eta
from .scripts import arguments_of


class _Script(NamedTuple):
    location: Location
    arguments: Arguments


def with_detail_passes(
    fields: dict[str, Any], parameters: dict[str, Any], settings: EffectiveOptions, source: BusinessSource
) -> dict[str, Any]:
    """Add the detail passes to the fields of the canonical request. Raises Unprocessable."""
    script = _script(parameters)
    if script is None or not script.arguments.units:
        return fields
    location, (skip_img2img, units) = script
    only = skip_img2img and fields["task"] == "img2img"
    if skip_img2img and not only:
        settings.fallbacks.add((*location, 1), _("skipping img2img has no effect in txt2img"))
    if only and fields.get("inpaint"):
        message = _("ADetailer is not applied: img2img cannot be skipped for a request with a mask")
        settings.fallbacks.add((*location, 1), message)
        return fields
    if fields.get("tiled"):
        raise Unprocessable.unsupported(location, _("ADetailer cannot be applied to SD upscale"))
    try:
        passes = detail_passes(units, _context(fields, parameters, settings, source, location))
    except InvalidUnit as error:
        raise _unprocessable(location, error) from None
    changes = {"detail_passes": passes, "details_only": only}
    return fields | changes | {"exact_steps": settings["img2img_fix_steps"]}


def _script(parameters: dict[str, Any]) -> _Script | None:
    for name, script in parameters["alwayson_scripts"].items():
        if str(name).lower() == SCRIPT:
            location = ("body", "alwayson_scripts", name, "args")
            try:
                return _Script(location, read_arguments(arguments_of(script)))
            except InvalidUnit as error:
                raise _unprocessable(location, error) from None
    return None


def _unprocessable(location: Location, error: InvalidUnit) -> Unprocessable:
    return Unprocessable.at((*location, *error.path), error.message, "value_error.adetailer")


def _context(
    fields: dict[str, Any],
    parameters: dict[str, Any],
    settings: EffectiveOptions,
    source: BusinessSource,
    location: Location,
) -> Context:
    prompts = Prompts(parameters, settings, source)

    def faces(path: Path) -> FaceRestoration | None:
        try:
            return face_restoration(parameters | {"restore_faces": True}, settings, source)
        except Unprocessable as error:
            raise InvalidUnit(path, error.entries[0]["msg"]) from None

    return Context(
        source=source,
        prompt=parameters["prompt"] or "",
        negative_prompt=parameters["negative_prompt"] or "",
        sampler=fields["sampler"],
        noise_multiplier=settings["initial_noise_multiplier"],
        controls=tuple(fields["controls"]),
        positive=prompts.positive,
        negative=prompts.negative,
        loras=prompts.loras,
        eta=lambda sampler: eta(sampler, None, settings),
        faces=faces,
        note=lambda path, message: settings.fallbacks.add((*location, *path), message),
        overlay=settings["overlay_inpaint"],
    )
