"""Resolves the model names of a request to model files that its source may use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from django.utils.translation import gettext as _

from access.models import BusinessSource
from gpu_runner.protocol import GenerationRequest, ModelName
from gpu_runner.protocol.families.registry import DRAWN
from gpu_runner.protocol.workflows.requirements import checkpoint_folder
from jobs.errors import ModelNotAllowed, Refused, UnknownModel, Unsupported
from jobs.models import Backend
from models_registry.architectures import misfit
from models_registry.errors import ModelNotFound, ModelUnusable
from models_registry.models import FAMILIES, FOLDERS, Family, Kind, ModelFile, WorkflowTemplate
from models_registry.selectors import resolve, training

from .control_models import must_have_control_image
from .text_encoders import text_encoders_for, text_encoders_of_all
from .trainable_bases import untrainable

DIFFUSION = "sd15 sd2 sdxl"  # families of the VAEs that an older version has scanned
FAMILY_BOUND = frozenset({Kind.LORA, Kind.CONTROLNET, Kind.EMBEDDING})
SHAPE_BOUND = frozenset({Kind.LORA, Kind.CONTROLNET})


class ModelResolver:
    """Looks up the model names of one request and caches the results.

    Create one per request, after its backend is known: a longer-lived cache would return files
    that were disabled in the meantime.
    """

    def __init__(
        self,
        source: BusinessSource,
        backend: str = Backend.PIPELINE,
        known: Mapping[ModelName, ModelFile] | None = None,
        template: WorkflowTemplate | None = None,
    ) -> None:
        """``known``: files that are not looked up by their names. The caller checks that the source may use them.

        ``template``: the ComfyUI template that the request is for.
        """
        self.source = source
        self.backend = backend
        self.template = template
        self._found: dict[tuple[str, str], ModelFile] = {
            (name.kind, name.name): file for name, file in (known or {}).items()
        }

    @property
    def on_runners(self) -> bool:
        """Whether model files are stored on the runners themselves (ComfyUI)."""
        return self.backend == Backend.COMFYUI

    @cached_property
    def checkpoint_kind(self) -> str:
        """Kind of the file that the request calls its checkpoint; empty if the template has no place for one."""
        if self.template is None:
            return Kind.CHECKPOINT
        folder = checkpoint_folder(self.template.workflow())
        return next((kind for kind, known in FOLDERS.items() if known == folder), "")

    def find(self, kind: str, name: str) -> ModelFile:
        """Return the file with this name; an empty name means the default. Raises ModelNotFound."""
        if (kind, name) not in self._found:
            looked_for = self.checkpoint_kind if kind == Kind.CHECKPOINT else kind
            file = resolve(looked_for, name, self.source, on_runners=self.on_runners)
            self._found[kind, name] = self._found[kind, file.name] = file
        return self._found[kind, name]


@dataclass(frozen=True)
class Resolution:
    """The model files of a request: its checkpoint, and all others by ModelName.key.

    If a template has no place for a checkpoint, ``checkpoint`` is the template's own main model, and None if the
    registry does not know it; ``is_from_template`` is then set.
    """

    checkpoint: ModelFile | None
    others: dict[str, ModelFile]
    is_from_template: bool = False

    @property
    def named(self) -> list[ModelFile]:
        """Files that the request names, or that are defaults for it."""
        own = [] if self.checkpoint is None or self.is_from_template else [self.checkpoint]
        return [*own, *self.others.values()]

    def as_json(self) -> dict[str, dict[str, Any]]:
        """Paths and hashes to store in the job.

        A retry detects with them that a file has changed since admission.
        """
        return {key: _kept(file) for key, file in self.others.items()}


def _kept(file: ModelFile) -> dict[str, Any]:
    """Include the hashes by which infotexts identify a LoRA or a ControlNet."""
    kept = {"path": file.path, "sha256": file.sha256} | training(file)
    if file.kind == Kind.CONTROLNET and file.legacy_hash:
        kept["legacy_hash"] = file.legacy_hash
    return kept | {"tensors_sha256": file.tensors_sha256} if file.tensors_sha256 else kept


def resolve_all(models: ModelResolver, request: GenerationRequest) -> Resolution:
    """Resolve all model names of the request.

    Raises Refused if a name is unknown, not allowed for the source, or of an incompatible model family.
    """
    _must_allow_its_files(models)
    if not models.checkpoint_kind:
        others = {name.key: _fitting(models, name, None) for name in _names(request, models.backend)}
        return Resolution(_main_model(models), others, is_from_template=True)
    checkpoint = _checkpoint(models, request)
    others = {name.key: _fitting(models, name, checkpoint) for name in _names(request, models.backend)}
    if models.backend == Backend.TRAINING:
        for refused in untrainable(checkpoint):
            raise refused
        _must_have_vae(request, checkpoint, others)
        others |= text_encoders_for(checkpoint, models.source)
    if models.backend == Backend.PIPELINE:
        _must_have_vae(request, checkpoint, others)
        _must_edit_by_instruction(request, checkpoint, others)
        for file in (checkpoint, *others.values()):
            if file.kind == Kind.CHECKPOINT:
                must_have_control_image(file, request)
    if request.refiner is not None:
        _must_share_latents(others[ModelName("checkpoint", request.refiner.checkpoint).key], checkpoint)
    for part in request.detail_passes:
        if part.checkpoint:
            _must_be_of_its_family(others[ModelName("checkpoint", part.checkpoint).key], checkpoint)
    if models.backend == Backend.PIPELINE:
        _must_have_the_shapes(request, checkpoint, others)
        if request.denoises:
            seconds = [file for file in others.values() if file.kind == Kind.CHECKPOINT]
            others |= text_encoders_of_all([checkpoint, *seconds], models.source)
    return Resolution(checkpoint, others)


def problems(models: ModelResolver, request: GenerationRequest) -> list[Refused]:
    """Return the reasons for which ``resolve_all`` would refuse the request.

    The errors of single files; if there are none, the error of their combination.
    """
    if found := list(_of_each_file(models, request)):
        return found
    try:
        resolve_all(models, request)
    except Refused as refused:
        return [refused]
    return []


def _of_each_file(models: ModelResolver, request: GenerationRequest) -> Iterator[Refused]:
    checkpoint = None
    try:
        checkpoint = _checkpoint(models, request) if models.checkpoint_kind else None
    except Refused as refused:
        yield refused
    for name in _names(request, models.backend):
        try:
            _fitting(models, name, checkpoint)
        except Refused as refused:
            yield refused


def _names(request: GenerationRequest, backend: str) -> list[ModelName]:
    """Model names to resolve. ComfyUI has its own preprocessor files, which are not in the registry."""
    names = request.model_names()
    return (
        names if backend == Backend.PIPELINE else [name for name in names if name.kind != Kind.PREPROCESSOR]
    )


def _checkpoint(models: ModelResolver, request: GenerationRequest) -> ModelFile:
    """Find the checkpoint. The family is checked for the pipeline only; ComfyUI depends on the workflow."""
    checkpoint = _found(models, ModelName("checkpoint", request.checkpoint))
    return _drawable(checkpoint) if models.backend == Backend.PIPELINE else checkpoint


def _must_allow_its_files(models: ModelResolver) -> None:
    """Raise ModelNotAllowed if a file that a template names is disabled, or not for this source."""
    if models.template is None:
        return
    paths = [use.path for use in models.template.needs.files if use.path]
    rows = ModelFile.objects.filter(path__in=paths)
    allowed = rows.filter(enabled=True).allowed_for(models.source)
    if refused := rows.exclude(pk__in=allowed.values("pk")).only("name", "kind").first():
        words = {"template": models.template.name, "name": refused.name, "source": models.source.name}
        message = _("The workflow %(template)s uses %(name)s, which %(source)s may not use.")
        raise ModelNotAllowed(message % words, field=None)


def _main_model(models: ModelResolver) -> ModelFile | None:
    """Row of the file that draws in a template without a place for a checkpoint."""
    use = models.template.needs.main_file if models.template else None
    if use is None:
        return None
    file = ModelFile.objects.filter(path=use.path).defer("metadata").first()
    if file is not None:
        return file
    folder, _slash, rest = use.path.partition("/")
    kind = next(kind for kind, known in FOLDERS.items() if known == folder)
    same_name = ModelFile.objects.filter(kind=kind, name=PurePosixPath(rest).stem).defer("metadata")
    return same_name.first()


def _fitting(models: ModelResolver, name: ModelName, checkpoint: ModelFile | None) -> ModelFile:
    file = _found(models, name)
    if file.kind == Kind.CHECKPOINT:
        _drawable(file)
    if checkpoint is not None:
        _must_fit(file, checkpoint)
    return file


def _found(models: ModelResolver, name: ModelName) -> ModelFile:
    try:
        return models.find(name.kind, name.name)
    except ModelUnusable as error:
        raise Unsupported(str(error), field=name.kind) from error
    except ModelNotFound as error:
        raise UnknownModel(str(error), field=name.kind) from error


def _drawable(checkpoint: ModelFile) -> ModelFile:
    if checkpoint.family not in DRAWN:
        message = _("%(name)s cannot be used: its family is not supported (%(family)s).")
        raise Unsupported(
            message % {"name": checkpoint.name, "family": checkpoint.get_family_display()}, field="checkpoint"
        )
    return checkpoint


def _must_have_vae(request: GenerationRequest, checkpoint: ModelFile, others: dict[str, ModelFile]) -> None:
    """Raise Unsupported if no VAE can decode the images. A refiner needs none; a training encodes its images."""
    if not (request.denoises or request.training):
        return
    vae_of = [("", request.vae), (request.hires.checkpoint if request.hires else "", request.vae)]
    vae_of += [
        (part.checkpoint, request.vae if part.vae is None else part.vae) for part in request.detail_passes
    ]
    for name, vae in vae_of:
        file = others.get(ModelName("checkpoint", name).key, checkpoint)
        if file.without_vae and not vae:
            message = _("%(name)s has no VAE: name one, or make one the default in the console.")
            raise Unsupported(message % {"name": file.name}, field="vae")


def _must_edit_by_instruction(
    request: GenerationRequest, checkpoint: ModelFile, others: dict[str, ModelFile]
) -> None:
    """Raise Unsupported if an InstructPix2Pix checkpoint lacks its init image, or another one is to edit by instruction."""
    for file in others.values():
        if file.kind == Kind.CHECKPOINT and file.instruct:
            message = _("%(name)s edits by instruction: it cannot be the second checkpoint of a request.")
            raise Unsupported(message % {"name": file.name}, field="checkpoint")
    words = {"name": checkpoint.name}
    if request.image_guidance_scale is not None and not checkpoint.instruct:
        message = _("%(field)s is for InstructPix2Pix checkpoints only, and %(name)s is none.")
        raise Unsupported(message, field="image_guidance_scale", words=words)
    if checkpoint.instruct and request.task == "txt2img":
        message = _("%(name)s edits by instruction: it needs an init image.")
        raise Unsupported(message % words, field="checkpoint")


def _must_fit(file: ModelFile, checkpoint: ModelFile) -> None:
    """Raise Unsupported if the families differ. Files of unknown family are accepted, except VAEs, whose latents tell."""
    if file.kind == Kind.VAE:
        _must_have_its_latents(file, checkpoint)
        return
    untold = Family.UNKNOWN in (file.family, checkpoint.family)
    if file.kind not in FAMILY_BOUND or untold or file.family == checkpoint.family:
        return
    message = _("%(name)s is for %(family)s, and %(checkpoint)s is not.")
    words = {"name": file.name, "family": file.get_family_display(), "checkpoint": checkpoint.name}
    raise Unsupported(message % words, field=file.kind)


def _must_have_its_latents(vae: ModelFile, checkpoint: ModelFile) -> None:
    families = str(vae.metadata.get(FAMILIES, DIFFUSION)).split()
    if checkpoint.family in (Family.UNKNOWN, *families):
        return
    message = _("%(name)s is for %(family)s, and %(checkpoint)s is not.")
    labels = ", ".join(str(Family(family).label) for family in families if family in Family)
    words = {"name": vae.name, "family": labels, "checkpoint": checkpoint.name}
    raise Unsupported(message % words, field="vae")


def _must_have_the_shapes(
    request: GenerationRequest, checkpoint: ModelFile, others: dict[str, ModelFile]
) -> None:
    """Raise Unsupported if a LoRA or ControlNet does not fit a checkpoint that it is used with. The refiner uses none."""
    names = {part.checkpoint for part in request.detail_passes} | (
        {request.hires.checkpoint} if request.hires else set()
    )
    seconds = [others[ModelName("checkpoint", name).key] for name in names if name]
    for file in others.values():
        for used_with in (checkpoint, *seconds) if file.kind in SHAPE_BOUND else ():
            if reason := misfit(file, used_with):
                message = _("%(name)s does not fit %(checkpoint)s: %(reason)s.")
                words = {"name": file.name, "checkpoint": used_with.name, "reason": reason}
                raise Unsupported(message % words, field=file.kind)


def _must_be_of_its_family(file: ModelFile, checkpoint: ModelFile) -> None:
    """Raise Unsupported if the LoRAs, embeddings and ControlNets of a request would not fit both checkpoints."""
    if Family.UNKNOWN in (file.family, checkpoint.family) or file.family == checkpoint.family:
        return
    message = _("%(name)s is for %(family)s, and %(checkpoint)s is not.")
    words = {"name": file.name, "family": file.get_family_display(), "checkpoint": checkpoint.name}
    raise Unsupported(message % words, field="detail_passes")


def _must_share_latents(refiner: ModelFile, checkpoint: ModelFile) -> None:
    """Raise Unsupported if the refiner cannot continue from latents of the checkpoint."""
    if (refiner.family == Family.SDXL) != (checkpoint.family == Family.SDXL):
        message = _("%(name)s is for %(family)s, and %(checkpoint)s is not.")
        words = {"name": refiner.name, "family": refiner.get_family_display(), "checkpoint": checkpoint.name}
        raise Unsupported(message % words, field="refiner")
