"""What a request leaves open and its source or the registry decides: written into it at admission, once for every attempt."""

from __future__ import annotations

from django.utils.translation import gettext as _

from access.models import BusinessSource
from gpu_runner.protocol import NSFW_POLICIES, GenerationRequest, NsfwPolicy
from gpu_runner.protocol.generation_request import FaceRestoration
from jobs.errors import UnknownModel
from jobs.models import Backend
from models_registry.errors import ModelNotFound
from models_registry.models import FOLDERS, Kind
from models_registry.selectors import list_for, resolve

from .textual_inversions import with_named_embeddings
from .validation import is_codeformer


def completed(
    source: BusinessSource, request: GenerationRequest, backend: str = Backend.PIPELINE
) -> GenerationRequest:
    """Raises Refused, for instance where nothing is there to do what is asked for."""
    on_runners = backend == Backend.COMFYUI
    request = with_named_embeddings(source, request, on_runners=on_runners)
    request = _with_nsfw_check(source, request)
    if on_runners:
        return request
    return _with_face_models(source, _with_matting_model(source, request))


def face_restorers(source: BusinessSource) -> list[str]:
    """Names, the default one first. What is called CodeFormer is not used, whatever it is."""
    files = list_for(Kind.FACE_RESTORER, source).order_by("-is_default", "created_at", "pk")
    return [name for name in files.values_list("name", flat=True) if not is_codeformer(name)]


def with_models(source: BusinessSource, part: FaceRestoration) -> FaceRestoration:
    """The same, with the default models where it names none. Raises UnknownModel where there is none."""
    model = part.model or next(iter(face_restorers(source)), "")
    if not model:
        raise _none_of(Kind.FACE_RESTORER)
    detector = part.detector or _default(source, Kind.FACE_DETECTOR)
    return part.model_copy(update={"model": model, "detector": detector})


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


def _with_face_models(source: BusinessSource, request: GenerationRequest) -> GenerationRequest:
    if request.face_restoration is None:
        return request
    return request.model_copy(update={"face_restoration": with_models(source, request.face_restoration)})


def _default(source: BusinessSource, kind: Kind) -> str:
    try:
        return resolve(kind, "", source).name
    except ModelNotFound as error:
        raise _none_of(kind) from error


def _none_of(kind: Kind) -> UnknownModel:
    message = _(
        "This needs a %(kind)s, and the registry has none: a file such as %(file)s in the folder %(folder)s."
    )
    words = {"kind": kind.label, "file": EXAMPLES[kind], "folder": FOLDERS[kind]}
    return UnknownModel(message % words, field=kind)


EXAMPLES = {
    Kind.NSFW: "open_nsfw.onnx",
    Kind.MATTING: "u2netp.onnx",
    Kind.FACE_DETECTOR: "yunet_n_640_640.onnx",
    Kind.FACE_RESTORER: "GFPGANv1.4.pth",
}
