"""Builds the capsule of an output from the rows of its job."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from gpu_runner.protocol import Environment, ModelName
from jobs.images.storage import read_output
from jobs.models import Job, Output
from models_registry.models import WorkflowTemplate
from models_registry.models.workflow_templates import OutputType
from models_registry.selectors import training

from .capsule import Capsule, CapsuleFile, CapsuleImage, CapsuleInput, CapsuleWorkflow, needed_files, seeds_of
from .pixels import pixels_sha256
from .sampling import passes


def capsule_of(output: Output) -> Capsule:
    """The capsule of an output image."""
    job = output.job
    request = job.generation_request
    seed, subseed = seeds_of(request, output.index)
    return Capsule(
        job=job.pk,
        created_at=job.created_at,
        backend=job.backend,  # type: ignore[arg-type]  # pydantic checks it
        workflow=_workflow(job.workflow),
        request=request,
        files=tuple(_files(job)),
        inputs=tuple(
            CapsuleInput(field=path, sha256=sha256) for sha256, path in request.picture_paths().items()
        ),
        seed=seed,
        subseed=subseed,
        sampling=passes(request),
        interrupted=job.interrupted,
        environment=environment_of(job),
        image=_image(output),
    )


def environment_of(job: Job) -> Environment | None:
    return Environment.model_validate(job.environment) if job.environment else None


def workflow_digest(template: WorkflowTemplate) -> str:
    """SHA-256 of what a template does, regardless of its name and settings."""
    document = {"graph": template.graph, "slots": template.slots}
    if template.if_asked:
        document["if_asked"] = template.if_asked
    if template.output != OutputType.IMAGE:
        document["output"] = template.output
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _workflow(template: WorkflowTemplate | None) -> CapsuleWorkflow | None:
    return CapsuleWorkflow(name=template.name, sha256=workflow_digest(template)) if template else None


def _files(job: Job) -> Iterator[CapsuleFile]:
    """The checkpoint first, if the request has one."""
    checkpoint = ModelName("checkpoint", job.request["checkpoint"])
    if checkpoint.name and job.checkpoint is not None:
        yield CapsuleFile(
            kind=checkpoint.kind,
            name=checkpoint.name,
            sha256=job.checkpoint_sha256,
            **training(job.checkpoint),
        )
    for name in sorted(needed_files(job.generation_request, job.backend) - {checkpoint}):
        kept = job.files[name.key]
        known = {
            field: kept[field]
            for field in ("sha256", "prediction_type", "zero_terminal_snr", "variant")
            if field in kept
        }
        yield CapsuleFile(kind=name.kind, name=name.name, **known)


def _image(output: Output) -> CapsuleImage:
    try:
        pixels = None if output.frames else pixels_sha256(read_output(output))
    except FileNotFoundError:  # deleted by retention
        pixels = None
    return CapsuleImage(
        index=output.index,
        sha256=output.sha256,
        pixels_sha256=pixels,
        width=output.width,
        height=output.height,
        content_type=output.content_type,
        size_bytes=output.size_bytes,
    )
