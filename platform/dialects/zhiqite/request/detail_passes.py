"""Detail passes from ``alwayson_scripts.ADetailer``."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from access.models import BusinessSource
from dialects.adetailer import Context, detail_passes
from dialects.adetailer_arguments import InvalidUnit, Path, read_arguments
from dialects.zhiqite.errors import WireError
from gpu_runner.protocol.request_parts.details import FaceRestoration
from jobs.admission import defaults
from jobs.admission.model_choice.resolution import ModelResolver
from jobs.errors import Refused

from . import common
from .fields_v2 import GenerationV2, Overrides

LOCATION = "alwayson_scripts.ADetailer.args"


def with_detail_passes(
    fields: dict[str, Any], body: GenerationV2, source: BusinessSource, notes: list[str]
) -> dict[str, Any]:
    """Add the detail passes to the fields of the GenerationRequest, and to ``notes`` what has no effect.

    Raises WireError.
    """
    try:
        skip_img2img, units = read_arguments(_arguments(body.alwayson_scripts.ADetailer))
        if not units:
            return fields
        only = skip_img2img and fields.get("task") == "img2img"
        if only and fields["inpaint"]:
            raise InvalidUnit((1,), _("img2img cannot be skipped for a request with a mask"))
        if skip_img2img and not only:
            raise InvalidUnit((1,), _("this operation has no base image that img2img could be skipped for"))
        passes = detail_passes(
            units, _context(fields, body, body.alwayson_scripts.override_settings, source, notes)
        )
    except InvalidUnit as error:
        raise WireError(f"{_place(error.path)}: {error.message}") from None
    changes = {"detail_passes": passes, "details_only": only}
    return fields | changes | {"exact_steps": body.alwayson_scripts.override_settings.img2img_fix_steps}


def _arguments(script: Any) -> list[Any]:
    """``{"args": [...]}``, or the list itself. An object without ``args`` counts as one unit."""
    arguments = script.get("args", [script]) if isinstance(script, dict) and script else script or []
    return arguments if isinstance(arguments, list) else [arguments]


def _place(path: Path) -> str:
    return ".".join([LOCATION, *map(str, path)])


def _context(
    fields: dict[str, Any],
    body: GenerationV2,
    overrides: Overrides,
    source: BusinessSource,
    notes: list[str],
) -> Context:
    def note(path: Path, message: str) -> None:
        if source.strict:
            raise InvalidUnit(path, message)
        notes.append(f"{_place(path)}: {message}")

    def faces(path: Path) -> FaceRestoration:
        try:
            return defaults.with_models(ModelResolver(source), FaceRestoration())
        except Refused as refused:
            raise InvalidUnit(path, refused.message) from None

    return Context(
        source=source,
        prompt=body.prompt,
        negative_prompt=body.negative_prompt,
        sampler=fields["sampler"],
        noise_multiplier=1.0
        if overrides.initial_noise_multiplier is None
        else overrides.initial_noise_multiplier,
        controls=tuple(fields["controls"]),
        positive=str,
        negative=str,
        loras=lambda prompt: common.loras(prompt, source),
        eta=lambda sampler: common.eta(sampler, overrides.eta_ancestral, overrides.eta_ddim),
        faces=faces,
        note=note,
    )
