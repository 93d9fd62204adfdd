"""Model files and styles that a source may use, as cards with the names by which each API calls them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _

from access.internal_source import internal_source
from access.models import BusinessSource
from console.jobs.images import thumbnail
from jobs.api_reference.dialects import model_names
from jobs.models import OutputKind
from jobs.sample_renders.model_files import newest_rendered
from models_registry.facts.cover import ModelCover
from models_registry.models import Kind, ModelFile, StylePreset
from models_registry.selectors import is_usable, list_for, styles_for

from .chosen_source import chosen_source, page_context

VIEW_MODELS = "models_registry.view_modelfile"
KINDS = (Kind.CHECKPOINT, Kind.LORA, Kind.VAE, Kind.CONTROLNET, Kind.EMBEDDING, Kind.UPSCALER)
MAX_CARDS = 200  # of a kind
A_DAY_S = 24 * 3600


@dataclass(frozen=True)
class Card:
    file: ModelFile
    has_sample: bool
    names: dict[str, str]  # by dialect


def page(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm(VIEW_MODELS):
        raise PermissionDenied
    source = chosen_source(request)
    context = page_context(request, _("Models"), source)
    if source is not None:
        words = request.GET.get("q", "").replace("\0", "")[:100]
        groups = [(kind.label, _cards(kind, source, words)) for kind in KINDS]
        context |= {
            "words": words,
            "groups": [(title, cards) for title, cards in groups if cards],
            "presets": _presets(source) if source.allows_dialect("volcengine") else [],
            "styles": styles_for(source).order_by("name"),
        }
    return render(request, "admin/portal/models.html", context)


def _cards(kind: Kind, source: BusinessSource, words: str) -> list[Card]:
    found = list_for(kind, source).defer("metadata").order_by("-is_default", "name")
    if words:
        found = found.filter(name__icontains=words)
    files = list(found[:MAX_CARDS])
    covered = set(ModelCover.objects.filter(file__in=files).values_list("pk", flat=True))
    sampled = {pk for pk, job in newest_rendered(files).items() if _may_be_shown(job, source)}
    return [Card(file, file.pk in covered | sampled, _names(file, source)) for file in files]


def _names(file: ModelFile, source: BusinessSource) -> dict[str, str]:
    names = model_names(file.kind, file.name)
    return {dialect: text for dialect, text in names.items() if source.allows_dialect(dialect)}


def _presets(source: BusinessSource) -> Any:
    return StylePreset.objects.usable().offered_to(source).order_by("key", "variant")


def sample(request: HttpRequest, file_id: int) -> HttpResponseBase:
    """Cover or sample image of a file. Raises Http404 for a file that the source may not use."""
    source = chosen_source(request)
    file = get_object_or_404(ModelFile, pk=file_id)
    if source is None or not request.user.has_perm(VIEW_MODELS) or not is_usable(file, source):
        raise Http404
    cover = ModelCover.objects.filter(pk=file.pk).first()
    if cover is not None:
        headers = {"Cache-Control": f"private, max-age={A_DAY_S}", "ETag": f'"{cover.sha256}"'}
        return HttpResponse(bytes(cover.jpeg), content_type="image/jpeg", headers=headers)
    job = newest_rendered([file]).get(file.pk)
    if job is None or not _may_be_shown(job, source):
        raise Http404
    output = job.outputs.filter(kind=OutputKind.IMAGE).order_by("index").first()
    if output is None:
        raise Http404
    return thumbnail(request, output)


def _may_be_shown(job: Any, source: BusinessSource) -> bool:
    """Whether a sample was drawn for the platform or for this source. Those of other tenants are theirs."""
    return job.source_id in (source.pk, internal_source().pk)
