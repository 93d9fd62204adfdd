"""Warnings for parts of a request that the original silently ignores (unknown names, unused fields)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils.translation import gettext as _

from access.models import BusinessSource
from dialects.a1111.options.options import EffectiveOptions
from dialects.a1111.schema.fields import IMG2IMG, TXT2IMG
from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from models_registry.selectors import styles_for

from . import distilled_guidance
from .hires import SAME_SAMPLER, SAME_SCHEDULER
from .scripts import warn_about_scripts

MAX_REPORTED = 20  # maximum number of unknown fields reported
MAX_NAME_LENGTH = 100  # maximum length of a name in messages, in characters
SAMPLERS = ("sampler_name", "hr_sampler_name")
SIDES = ("width", "height", "firstphase_width", "firstphase_height")
MULTIPLE = 8
SCHEDULERS = ("scheduler", "hr_scheduler")


def warn_about_ignored_parts(
    body: dict[str, Any],
    ignored_labels: Iterable[str],
    parameters: dict[str, Any],
    settings: EffectiveOptions,
    source: BusinessSource,
) -> None:
    """Add a warning to the fallbacks of ``settings`` for each ignored part of the request."""
    _unknown_fields(body, settings)
    _unknown_samplers(parameters, settings)
    _unknown_styles(parameters, settings, source)
    warn_about_scripts(parameters, settings.fallbacks)
    _rounded_sides(parameters, settings)
    for label in ignored_labels:
        message = _("infotext parameter %s is not supported and was ignored") % label[:MAX_NAME_LENGTH]
        settings.fallbacks.add(("body", "infotext"), message)
    if parameters["firstpass_image"]:
        message = _("firstpass_image has no effect in the API")
        settings.fallbacks.add(("body", "firstpass_image"), message)


def _unknown_fields(body: dict[str, Any], settings: EffectiveOptions) -> None:
    """Warn about unknown fields. Fields of the other operation are allowed: clients send both sets."""
    known = TXT2IMG.keys() | IMG2IMG.keys() | {distilled_guidance.FIELD}
    unknown = [name for name in body if name not in known]
    for name in unknown[:MAX_REPORTED]:
        settings.fallbacks.add(("body", name), _("unknown field: %s") % name[:MAX_NAME_LENGTH])


def _unknown_samplers(parameters: dict[str, Any], settings: EffectiveOptions) -> None:
    named = {name: parameters.get(name) for name in SAMPLERS}
    if not named["sampler_name"]:
        named["sampler_index"] = parameters["sampler_index"]
    for field, name in named.items():
        if name and name != SAME_SAMPLER and not sampler_catalog.understands_sampler(name):
            values = {"name": name[:MAX_NAME_LENGTH], "used": sampler_catalog.FALLBACK_SAMPLER}
            message = _("unknown sampler %(name)s; %(used)s is used instead") % values
            settings.fallbacks.add(("body", field), message)
    for field in SCHEDULERS:
        name = parameters.get(field)
        if name and name != SAME_SCHEDULER and not sampler_catalog.understands_scheduler(name):
            message = (
                _("unknown scheduler %s; the automatic scheduler is used instead") % name[:MAX_NAME_LENGTH]
            )
            settings.fallbacks.add(("body", field), message)


def _rounded_sides(parameters: dict[str, Any], settings: EffectiveOptions) -> None:
    for name in SIDES:
        value = parameters.get(name) or 0
        if value % MULTIPLE and not parameters.get(f"firstphase_{name}"):
            values = {"name": name, "value": value, "used": value // MULTIPLE * MULTIPLE}
            message = (
                _("%(name)s %(value)d is no multiple of 8; %(used)d is used, as in the original") % values
            )
            settings.fallbacks.add(("body", name), message)


def _unknown_styles(parameters: dict[str, Any], settings: EffectiveOptions, source: BusinessSource) -> None:
    names = parameters["styles"] or []
    known = set(styles_for(source).filter(name__in=names).values_list("name", flat=True)) if names else set()
    for index, name in enumerate(names):
        if name not in known and index < MAX_REPORTED:
            message = _("unknown style: %s") % name[:MAX_NAME_LENGTH]
            settings.fallbacks.add(("body", "styles", index), message)
