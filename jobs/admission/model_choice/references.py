"""Requests with images for a checkpoint that reads reference images."""

from __future__ import annotations

from dataclasses import replace

from django.utils.translation import gettext as _

from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.families.family import Family
from gpu_runner.protocol.workflows.request_images.references import as_references
from jobs.admission.submission import Submission
from jobs.models import Backend
from models_registry.errors import ModelNotFound
from models_registry.family_facts import family_facts
from models_registry.models import Kind
from models_registry.selectors import resolve

MULTIPLE = 16  # a side of the output is a multiple of this for all families that read references


def with_references(submission: Submission) -> Submission:
    """Return the submission with init images that belong together as references, and a size that the family draws.

    The size of an edited image often follows from its input, in multiples of 8.
    """
    request = submission.request
    if submission.backend != Backend.PIPELINE or not (request.init_images or request.images):
        return submission
    has_several = submission.init_images_belong_together and len(set(request.init_images)) > 1
    if not has_several and not any(side % MULTIPLE for side in (request.width, request.height)):
        return submission
    family = _family(submission)
    if family is None or family.references is None:
        return submission
    if has_several and request.task == "img2img" and request.inpaint is None:
        request = as_references(request)
    sized = _with_size_of(family, request)
    if sized is request:
        return replace(submission, request=request)
    words = {"width": sized.width, "height": sized.height, "family": family.label}
    note = _("drawn with %(width)d x %(height)d pixels, multiples of 16, by %(family)s") % words
    return replace(submission, request=sized, note="; ".join(filter(None, [submission.note, note])))


def _family(submission: Submission) -> Family | None:
    try:
        checkpoint = resolve(Kind.CHECKPOINT, submission.request.checkpoint, submission.source)
    except ModelNotFound:
        return None  # refused elsewhere
    return family_facts(checkpoint)


def _with_size_of(family: Family, request: GenerationRequest) -> GenerationRequest:
    multiple = family.latents.multiple
    width, height = (max(64, side // multiple * multiple) for side in (request.width, request.height))
    if request.tiled or (width, height) == (request.width, request.height):
        return request
    return request.model_copy(update={"width": width, "height": height})
