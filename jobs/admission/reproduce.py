"""Admits a job that draws the image of a capsule again, with exactly the files that the capsule names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from access.models import AccessKey, BusinessSource
from access.source_settings.prompt_modes import PromptMode
from gpu_runner.protocol import ModelName
from jobs.errors import InvalidImage, Refused, Unsupported
from jobs.images import storage
from jobs.models import Backend, InputPicture, Job, JobInput, Lane, Output, OutputKind, Reproduction
from jobs.reproduction.build import workflow_digest
from jobs.reproduction.capsule import Capsule, CapsuleFile
from jobs.reproduction.pixels import pixels_sha256
from jobs.reproduction.sampling import passes
from models_registry.errors import ModelNotFound
from models_registry.models import Kind, ModelFile, WorkflowTemplate
from models_registry.selectors import list_for, resolve, training

from .admit import admit_or_find
from .defaults import stricter
from .idempotency import Idempotency
from .submission import Submission

OPERATION = "reproduce"


@dataclass(frozen=True)
class MissingPart:
    """A part of a capsule that this installation does not have, or that the source may not use."""

    field: str  # place in the capsule, such as ``files.0``
    message: str


class MissingParts(Refused):
    """Model files, input images or a workflow template are not here. Each is named by its hash."""

    code = "missing_parts"

    def __init__(self, parts: Sequence[MissingPart]) -> None:
        super().__init__(" ".join(part.message for part in parts), field=parts[0].field)
        self.parts = parts


@dataclass(frozen=True)
class ReproduceRequest:
    """A capsule with the images that were sent with it. ``uploaded``: hashes of images that the source has uploaded."""

    source: BusinessSource
    key: AccessKey | None
    dialect: str
    capsule: Capsule
    images: Mapping[str, bytes] = field(default_factory=dict)  # by SHA-256
    original: bytes | None = None
    uploaded: AbstractSet[str] = frozenset()
    idempotency: Idempotency | None = None
    note: str = ""


def reproduce(asked: ReproduceRequest) -> tuple[Job, bool]:
    """Admit the job. Returns it, and whether it is new. Raises Refused; MissingParts names everything that is missing."""
    if asked.capsule.request.video:
        raise Unsupported(_("Videos are not reproduced, since they are not compared."), field="video")
    files, workflow = _parts(asked)
    _check_images(asked)
    source_output = _stored_original(asked.source, asked.capsule)
    reproduction = Reproduction(
        capsule=asked.capsule.model_dump(mode="json"),
        original=source_output,
        original_sent="" if source_output else _store_original(asked),
        warnings=list(_warnings(asked, files)),
    )
    capsule = asked.capsule
    return admit_or_find(
        Submission(
            source=asked.source,
            key=asked.key,
            dialect=asked.dialect,
            operation=OPERATION,
            request=capsule.request,
            received={"capsule": {"job": str(capsule.job), "image": capsule.image.model_dump(mode="json")}},
            input_files=asked.images,
            lane=Lane.ASYNC,
            idempotency=asked.idempotency,
            backend=Backend(capsule.backend),
            workflow=workflow,
            repeats=source_output.job if source_output else None,
            prompt_mode=PromptMode.AS_IS,  # the request has the prompts that were drawn
            note=asked.note,
            files=files,
            reproduction=reproduction,
        )
    )


def again(job: Job) -> dict[str, Any]:
    """For a retry or rerun: the fields of a Submission that make it a reproduction, too. Raises Refused."""
    known = Reproduction.objects.filter(job=job).first()
    if known is None:
        return {}
    capsule = Capsule.model_validate(known.capsule)
    files, _workflow = _parts(ReproduceRequest(job.source, job.key, job.dialect, capsule), check_inputs=False)
    copy = Reproduction(
        capsule=known.capsule,
        original=known.original,
        original_sent=known.original_sent,
        warnings=known.warnings,
    )
    return {"files": files, "reproduction": copy}


def _parts(
    asked: ReproduceRequest, *, check_inputs: bool = True
) -> tuple[dict[ModelName, ModelFile], WorkflowTemplate | None]:
    """The model files and the workflow template of the capsule. Raises MissingParts."""
    capsule, missing = asked.capsule, list[MissingPart]()
    files: dict[ModelName, ModelFile] = {}
    for index, part in enumerate(capsule.files):
        on_runners = capsule.backend == Backend.COMFYUI
        file = _model_file(part, part.kind, asked.source, on_runners=on_runners)
        if file is None and on_runners and part.kind == Kind.CHECKPOINT:  # a template may load another kind
            file = _model_file(part, Kind.DIFFUSION_MODEL, asked.source, on_runners=True)
        if file is None:
            missing.append(MissingPart(f"files.{index}", _missing_file(part)))
        else:
            files[part.model_name] = file
    workflow = _workflow(capsule)
    if capsule.workflow is not None and workflow is None:
        message = _("A workflow template with the SHA-256 %(sha256)s (%(name)s) is not available.")
        missing.append(MissingPart("workflow", message % capsule.workflow.model_dump()))
    if check_inputs:
        missing.extend(_missing_inputs(asked))
    if missing:
        raise MissingParts(missing)
    return files, workflow


def _model_file(
    part: CapsuleFile, kind: str, source: BusinessSource, *, on_runners: bool
) -> ModelFile | None:
    """The file with this hash, whatever it is called here. Files of ComfyUI servers have no hash."""
    if not part.sha256:
        try:
            return resolve(kind, part.name, source, on_runners=on_runners)
        except ModelNotFound:
            return None
    files = list_for(kind, source, on_runners=on_runners).filter(sha256=part.sha256).order_by("pk")
    return files.filter(name=part.name).first() or files.first()


def _missing_file(part: CapsuleFile) -> str:
    words = {"kind": part.kind, "sha256": part.sha256, "name": part.name}
    if not part.sha256:
        return _("A %(kind)s with the name %(name)s is not available.") % words
    return _("A %(kind)s with the SHA-256 %(sha256)s (%(name)s) is not available.") % words


def _workflow(capsule: Capsule) -> WorkflowTemplate | None:
    wanted = capsule.workflow
    if wanted is None:
        return None
    templates = WorkflowTemplate.objects.filter(enabled=True).order_by("pk")
    return next((one for one in templates if workflow_digest(one) == wanted.sha256), None)


def _missing_inputs(asked: ReproduceRequest) -> Iterator[MissingPart]:
    """Images that were neither sent nor used by this source before. Those of other sources do not exist for it."""
    wanted = {part.sha256 for part in asked.capsule.inputs} - asked.images.keys()
    used = JobInput.objects.filter(job__source=asked.source, sha256__in=wanted).values_list(
        "sha256", flat=True
    )
    own = InputPicture.objects.filter(sha256__in={*used, *(wanted & asked.uploaded)})
    missing = wanted - set(own.values_list("sha256", flat=True))
    for index, part in enumerate(asked.capsule.inputs):
        if part.sha256 in missing:
            message = _("The input image with the SHA-256 %(sha256)s (%(field)s) is not here: send its file.")
            yield MissingPart(f"inputs.{index}", message % part.model_dump())


def _check_images(asked: ReproduceRequest) -> None:
    """Raise InvalidImage for an image that was sent without need, or that is not the original one."""
    unneeded = asked.images.keys() - {part.sha256 for part in asked.capsule.inputs}
    if unneeded:
        message = _("The capsule has no input image with the SHA-256 %(sha256)s.")
        raise InvalidImage(message % {"sha256": min(unneeded)}, field="inputs")
    if asked.original is None:
        return
    image = asked.capsule.image
    if hashlib.sha256(asked.original).hexdigest() == image.sha256:
        return
    if _pixels(asked.original) != image.pixels_sha256:
        raise InvalidImage(_("This is not the image of the capsule."), field="original")


def _pixels(data: bytes) -> str:
    try:
        return pixels_sha256(data)
    except InvalidImage as error:
        raise InvalidImage(error.message, field="original") from error


def _store_original(asked: ReproduceRequest) -> str:
    if asked.original is None:
        return ""
    try:
        return storage.store_input(asked.original).sha256
    except InvalidImage as error:
        raise InvalidImage(error.message, field="original") from error


def _stored_original(source: BusinessSource, capsule: Capsule) -> Output | None:
    outputs = Output.objects.filter(
        job=capsule.job,
        job__source=source,
        kind=OutputKind.IMAGE,
        index=capsule.image.index,
        sha256=capsule.image.sha256,
    )
    return outputs.select_related("job").first()


def _warnings(asked: ReproduceRequest, files: Mapping[ModelName, ModelFile]) -> Iterator[str]:
    """Conditions that differ from those of the original, as far as they are known before the job runs."""
    capsule = asked.capsule
    if capsule.interrupted:
        yield _("The original was stopped before its last step. The reproduction runs all steps.")
    policy = stricter(asked.source.nsfw_policy, capsule.request.nsfw.policy)
    if policy != capsule.request.nsfw.policy:
        yield _("The NSFW policy of the source is stricter than that of the request: %(policy)s.") % {
            "policy": policy
        }
    for part in capsule.files:
        words = {"kind": part.kind, "name": part.name}
        if not part.sha256:
            yield _("Whether %(name)s (%(kind)s) is the same file is not known: it has no SHA-256.") % words
        if part.kind == "checkpoint" and _training_of(part) != training(files[part.model_name]):
            yield _("The training settings of %(name)s differ from those in the capsule.") % words
    if capsule.sampling != passes(capsule.request):
        yield _("The sampler facts in the capsule are not those of this installation.")


def _training_of(part: CapsuleFile) -> dict[str, Any]:
    settings = {
        "prediction_type": part.prediction_type,
        "zero_terminal_snr": part.zero_terminal_snr,
        "variant": part.variant,
    }
    return {name: value for name, value in settings.items() if value not in ("", None)}
