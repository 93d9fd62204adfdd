"""Which files a request's model names mean, for this source, at this moment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from access.models import BusinessSource
from gpu_runner.protocol import GenerationRequest, ModelName
from jobs.errors import Refused, UnknownModel, Unsupported
from jobs.models import Backend
from models_registry.errors import ModelNotFound
from models_registry.models import Family, Kind, ModelFile
from models_registry.selectors import resolve, training

SUPPORTED_FAMILIES = frozenset({Family.SD15, Family.SD2, Family.SDXL})
FAMILY_BOUND = frozenset({Kind.LORA, Kind.CONTROLNET, Kind.EMBEDDING})


@dataclass(frozen=True)
class Resolution:
    """``others`` by ModelName.key, as the request names them."""

    checkpoint: ModelFile
    others: dict[str, ModelFile]

    def as_json(self) -> dict[str, dict[str, Any]]:
        """What the job keeps: a file that changes later must not change the picture of a retry."""
        return {key: _kept(file) for key, file in self.others.items()}


def _kept(file: ModelFile) -> dict[str, Any]:
    """With the hashes that infotexts name a LoRA and a ControlNet by."""
    kept = {"path": file.path, "sha256": file.sha256} | training(file)
    if file.kind == Kind.CONTROLNET and file.legacy_hash:
        kept["legacy_hash"] = file.legacy_hash
    return kept | {"tensors_sha256": file.tensors_sha256} if file.tensors_sha256 else kept


def resolve_all(
    source: BusinessSource, request: GenerationRequest, backend: str = Backend.PIPELINE
) -> Resolution:
    """Raises Refused where a name is unknown, not for this source, or of a family that does not fit."""
    checkpoint = _checkpoint(source, request, backend)
    others = {name.key: _fitting(source, name, checkpoint, backend) for name in _names(request, backend)}
    if request.refiner is not None:
        _must_share_latents(others[ModelName("checkpoint", request.refiner.checkpoint).key], checkpoint)
    return Resolution(checkpoint, others)


def problems(
    source: BusinessSource, request: GenerationRequest, backend: str = Backend.PIPELINE
) -> list[Refused]:
    """All that ``resolve_all`` could refuse: of each file alone, or, where none of them is to blame, of all together."""
    if found := list(_of_each_file(source, request, backend)):
        return found
    try:
        resolve_all(source, request, backend)
    except Refused as refused:
        return [refused]
    return []


def _of_each_file(source: BusinessSource, request: GenerationRequest, backend: str) -> Iterator[Refused]:
    checkpoint = None
    try:
        checkpoint = _checkpoint(source, request, backend)
    except Refused as refused:
        yield refused
    for name in _names(request, backend):
        try:
            _fitting(source, name, checkpoint, backend)
        except Refused as refused:
            yield refused


def _names(request: GenerationRequest, backend: str) -> list[ModelName]:
    """ComfyUI has its own files for preprocessors, which no registry names."""
    names = request.model_names()
    return (
        names if backend == Backend.PIPELINE else [name for name in names if name.kind != Kind.PREPROCESSOR]
    )


def _checkpoint(source: BusinessSource, request: GenerationRequest, backend: str) -> ModelFile:
    """Of what families ComfyUI draws, its workflows tell."""
    checkpoint = _found(source, ModelName("checkpoint", request.checkpoint), backend)
    return _drawable(checkpoint) if backend == Backend.PIPELINE else checkpoint


def _fitting(
    source: BusinessSource, name: ModelName, checkpoint: ModelFile | None, backend: str
) -> ModelFile:
    file = _found(source, name, backend)
    if file.kind == Kind.CHECKPOINT:
        _drawable(file)
    if checkpoint is not None:
        _must_fit(file, checkpoint)
    return file


def _found(source: BusinessSource, name: ModelName, backend: str) -> ModelFile:
    try:
        return resolve(name.kind, name.name, source, on_runners=backend == Backend.COMFYUI)
    except ModelNotFound as error:
        raise UnknownModel(str(error), field=name.kind) from error


def _drawable(checkpoint: ModelFile) -> ModelFile:
    if checkpoint.family not in SUPPORTED_FAMILIES:
        message = _("%(name)s is a checkpoint of a family that cannot be drawn with here: %(family)s.")
        raise Unsupported(
            message % {"name": checkpoint.name, "family": checkpoint.get_family_display()}, field="checkpoint"
        )
    return checkpoint


def _must_fit(file: ModelFile, checkpoint: ModelFile) -> None:
    """Files that do not tell their family are tried."""
    untold = Family.UNKNOWN in (file.family, checkpoint.family)
    if file.kind not in FAMILY_BOUND or untold or file.family == checkpoint.family:
        return
    message = _("%(name)s is for %(family)s, and %(checkpoint)s is not.")
    words = {"name": file.name, "family": file.get_family_display(), "checkpoint": checkpoint.name}
    raise Unsupported(message % words, field=file.kind)


def _must_share_latents(refiner: ModelFile, checkpoint: ModelFile) -> None:
    """What one has begun the other must be able to read."""
    if (refiner.family == Family.SDXL) != (checkpoint.family == Family.SDXL):
        message = _("%(name)s is for %(family)s, and %(checkpoint)s is not.")
        words = {"name": refiner.name, "family": refiner.get_family_display(), "checkpoint": checkpoint.name}
        raise Unsupported(message % words, field="refiner")
