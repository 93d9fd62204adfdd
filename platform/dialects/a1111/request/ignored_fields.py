"""What a request says that the original passes over without a word: names that it does not know, fields without effect."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils.translation import gettext as _

from access.models import BusinessSource
from dialects.a1111.options.options import EffectiveOptions
from dialects.a1111.schema.fields import IMG2IMG, TXT2IMG
from gpu_runner.protocol import sampler_catalog
from models_registry.selectors import styles_for

from .hires import SAME_SAMPLER, SAME_SCHEDULER

MOST = 20  # unknown fields that are told
SHOWN = 100  # characters of a name
SAMPLERS = ("sampler_name", "hr_sampler_name")
SCHEDULERS = ("scheduler", "hr_scheduler")


def unheeded(
    body: dict[str, Any],
    left_out: Iterable[str],
    parameters: dict[str, Any],
    settings: EffectiveOptions,
    source: BusinessSource,
) -> None:
    """Notes all of it among the settings' fallbacks."""
    _unknown_fields(body, settings)
    _unknown_walks(parameters, settings)
    _unknown_styles(parameters, settings, source)
    for label in left_out:
        message = _("the infotext's %s has no effect") % label[:SHOWN]
        settings.fallbacks.add(("body", "infotext"), message)
    if parameters["firstpass_image"]:
        message = _("firstpass_image is the webui's own and has no effect")
        settings.fallbacks.add(("body", "firstpass_image"), message)


def _unknown_fields(body: dict[str, Any], settings: EffectiveOptions) -> None:
    """A field of the other operation is none of this one's, but clients that send it to both mean no harm."""
    unknown = [name for name in body if name not in TXT2IMG and name not in IMG2IMG]
    for name in unknown[:MOST]:
        settings.fallbacks.add(("body", name), _("there is no such field: %s") % name[:SHOWN])


def _unknown_walks(parameters: dict[str, Any], settings: EffectiveOptions) -> None:
    named = {name: parameters.get(name) for name in SAMPLERS}
    if not named["sampler_name"]:
        named["sampler_index"] = parameters["sampler_index"]
    for field, name in named.items():
        if name and name != SAME_SAMPLER and not sampler_catalog.understands_sampler(name):
            words = {"name": name[:SHOWN], "used": sampler_catalog.FALLBACK_SAMPLER}
            message = _("there is no sampler %(name)s; %(used)s is used") % words
            settings.fallbacks.add(("body", field), message)
    for field in SCHEDULERS:
        name = parameters.get(field)
        if name and name != SAME_SCHEDULER and not sampler_catalog.understands_scheduler(name):
            message = _("there is no scheduler %s; the automatic one is used") % name[:SHOWN]
            settings.fallbacks.add(("body", field), message)


def _unknown_styles(parameters: dict[str, Any], settings: EffectiveOptions, source: BusinessSource) -> None:
    names = parameters["styles"] or []
    known = set(styles_for(source).filter(name__in=names).values_list("name", flat=True)) if names else set()
    for index, name in enumerate(names):
        if name not in known and index < MOST:
            message = _("there is no style %s") % name[:SHOWN]
            settings.fallbacks.add(("body", "styles", index), message)
