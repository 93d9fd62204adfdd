"""What a source may choose from in the playground, beyond the native API's lists: styles, preprocessors, sample images."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from access.models import BusinessSource
from access.tenancy import visible_sources
from console.admin_base.last_source import remember_source
from gpu_runner.protocol.catalogs import preprocessors as preprocessor_catalog
from gpu_runner.protocol.catalogs import upscalers as upscaler_catalog
from gpu_runner.protocol.catalogs.preprocessors import Module, Slider
from jobs.api_reference import dialects
from jobs.sample_renders.model_files import newest_rendered
from models_registry.models import Kind
from models_registry.selectors import list_for, names_for, styles_for

from .sources import named_source

KINDS_WITH_CARDS = (Kind.CHECKPOINT, Kind.LORA)


@require_GET
def choices(request: HttpRequest) -> JsonResponse:
    source = named_source(request, request.GET.get("source", ""))
    remember_source(request, source)
    return JsonResponse(
        {
            "styles": list(styles_for(source).values("name", "prompt", "negative_prompt")),
            "modules": _modules(source),
            "latent_upscalers": [mode.name for mode in upscaler_catalog.LATENT_MODES]
            + [upscaler_catalog.LANCZOS, upscaler_catalog.NEAREST],
            "samples": _samples(request, source),
            "dialects": dialects.allowed(source, None),
        }
    )


def _modules(source: BusinessSource) -> list[dict[str, Any]]:
    """Preprocessors that work here: supported, and with the file of their network."""
    files = set(names_for(Kind.PREPROCESSOR, source))
    usable = (
        module
        for module in preprocessor_catalog.MODULES.values()
        if not module.refused and (not module.weights or module.weights in files)
    )
    return [_module(module) for module in usable]


def _module(module: Module) -> dict[str, Any]:
    return {
        "name": module.name,
        "title": module.title,
        "model_free": module.model_free,
        "resolution": _slider(module.resolution) if module.resolution else None,
        "sliders": [_slider(slider) for slider in module.sliders],
    }


def _slider(slider: Slider) -> dict[str, Any]:
    return {
        "name": slider.name,
        "value": slider.value,
        "minimum": slider.minimum,
        "maximum": slider.maximum,
    }


def _samples(request: HttpRequest, source: BusinessSource) -> dict[str, str]:
    """URLs of sample images that the user may see, by kind and name of the file."""
    files = [file for kind in KINDS_WITH_CARDS for file in list_for(kind, source)]
    rendered = newest_rendered(files)
    visible = visible_sources(request.user)
    if visible is not None:
        own = set(visible.values_list("pk", flat=True))
        rendered = {pk: job for pk, job in rendered.items() if job.source_id in own}
    return {
        f"{file.kind}:{file.name}": reverse("admin:jobs_job_thumbnail", args=[rendered[file.pk].pk, 0])
        for file in files
        if file.pk in rendered
    }
