"""Selects the textual inversions (embeddings) whose names occur in the prompts, at admission."""

from __future__ import annotations

from django.db.models import Q
from django.utils.translation import gettext as _

from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.prompt.composition import PromptTooLong
from gpu_runner.protocol.prompt.embedding_names import named_embeddings
from jobs.errors import Unsupported
from models_registry.errors import ModelNotFound
from models_registry.models import Family, Kind
from models_registry.selectors import list_for

from .resolution import ModelResolver

MOST_AT_ONCE = 64


def with_named_embeddings(models: ModelResolver, request: GenerationRequest) -> GenerationRequest:
    """Set ``embeddings`` to those named in a prompt, allowed for the source and of the checkpoint's family.

    A list sent by the caller is replaced. Raises Unsupported if there are more than MOST_AT_ONCE.
    """
    names = sorted(_named(models, request))
    if len(names) > MOST_AT_ONCE:
        message = _("The prompts name %(count)d embeddings; %(most)d is the most.")
        raise Unsupported(message % {"count": len(names), "most": MOST_AT_ONCE}, field="prompt")
    return request.model_copy(update={"embeddings": tuple(names)})


def _named(models: ModelResolver, request: GenerationRequest) -> set[str]:
    files = list_for(Kind.EMBEDDING, models.source, on_runners=models.on_runners)
    if not files.exists():
        return set()
    fitting = files.filter(Q(family=Family.UNKNOWN) | Q(family=_family(models, request)))
    try:
        return named_embeddings(request, fitting.order_by("name").values_list("name", flat=True))
    except (PromptTooLong, KeyError):  # KeyError: an unknown sampler
        return set()  # refused by jobs.admission.validation


def _family(models: ModelResolver, request: GenerationRequest) -> str:
    try:
        return models.find(Kind.CHECKPOINT, request.checkpoint).family
    except ModelNotFound:
        return Family.UNKNOWN  # ``resolve_all`` refuses the request
