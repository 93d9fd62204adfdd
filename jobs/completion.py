"""What a request leaves open and its source or the registry decides: written into it at admission, once for every attempt."""

from __future__ import annotations

from django.utils.translation import gettext as _

from access.models import BusinessSource
from gpu_runner.protocol import NSFW_POLICIES, GenerationRequest, NsfwPolicy
from models_registry.errors import ModelNotFound
from models_registry.models import FOLDERS, Kind
from models_registry.selectors import resolve

from .embeddings import with_named_embeddings
from .errors import UnknownModel
from .models import Backend


def completed(
    source: BusinessSource, request: GenerationRequest, backend: str = Backend.PIPELINE
) -> GenerationRequest:
    """Raises Refused, for instance where nothing is there to do what is asked for."""
    on_runners = backend == Backend.COMFYUI
    request = with_named_embeddings(source, request, on_runners=on_runners)
    request = _with_nsfw_check(source, request)
    return request if on_runners else _with_matting_model(source, request)


def stricter(*policies: str) -> NsfwPolicy:
    return max((policy for policy in NSFW_POLICIES if policy in policies), key=NSFW_POLICIES.index)


def _with_nsfw_check(source: BusinessSource, request: GenerationRequest) -> GenerationRequest:
    """The source's policy is the least that happens, whatever the request says."""
    policy = stricter(source.nsfw_policy, request.nsfw.policy)
    if policy == "off":
        return request
    model = request.nsfw.model or _default(source, Kind.NSFW)
    return request.model_copy(
        update={"nsfw": request.nsfw.model_copy(update={"policy": policy, "model": model})}
    )


def _with_matting_model(source: BusinessSource, request: GenerationRequest) -> GenerationRequest:
    if request.cut_out is not None and not request.cut_out.matting_model:
        chosen = request.cut_out.model_copy(update={"matting_model": _default(source, Kind.MATTING)})
        return request.model_copy(update={"cut_out": chosen})
    part = request.change_background
    if part is None or part.mask or part.cut_out_by != "matting" or part.matting_model:
        return request
    named = part.model_copy(update={"matting_model": _default(source, Kind.MATTING)})
    return request.model_copy(update={"change_background": named})


def _default(source: BusinessSource, kind: Kind) -> str:
    try:
        return resolve(kind, "", source).name
    except ModelNotFound as error:
        message = _(
            "This needs a %(kind)s, and the registry has none: a file such as %(file)s in the folder %(folder)s."
        )
        words = {"kind": kind.label, "file": EXAMPLES[kind], "folder": FOLDERS[kind]}
        raise UnknownModel(message % words, field=kind) from error


EXAMPLES = {Kind.NSFW: "open_nsfw.onnx", Kind.MATTING: "u2netp.onnx"}
