"""Convert a finished job to an A1111 response, from stored data only, so that it can be repeated."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

from django.utils import timezone

from dialects.a1111.errors import WireError
from dialects.a1111.request import controlnet_detect, interrogate
from dialects.a1111.request.extras import BATCH, SINGLE
from dialects.a1111.schema import images
from jobs.admission.prompts.language import prompt_warnings
from jobs.images.file_metadata import with_infotext
from jobs.images.infotext import model_fields
from jobs.images.infotext.build import VERSION, extra_pairs
from jobs.images.labels.implicit import ImplicitLabel, label_of
from jobs.images.storage import image_number, read_input, read_output, sign
from jobs.models import Job, Output, OutputKind, State
from jobs.selectors import outputs_of
from models_registry.selectors import is_for_inpainting

from . import extras, mask_images
from . import interrogate as caption

IN_PROGRESS_RETRY_S = 5
ERROR_CLASSES = {"out_of_memory": "OutOfMemoryError", "bad_request": "ValueError", "expired": "TimeoutError"}
JOB_HEADER = "X-Job-Id"


def outcome(job: Job) -> dict[str, Any]:
    """Response body of a generation request whose job has ended. Raises WireError if it has no images."""
    headers = {JOB_HEADER: str(job.id)}
    if not job.is_terminal:
        raise WireError(
            503,
            detail=f"Job {job.id} is still {job.state}; get its result later from /sdapi/v1/jobs/{job.id}",
            headers={"Retry-After": str(IN_PROGRESS_RETRY_S), **headers},
            job_id=str(job.id),
        )
    if job.state in (State.FAILED, State.EXPIRED):
        error = ERROR_CLASSES.get(job.error_code, "RuntimeError")
        raise WireError(500, error=error, errors=job.error_message, headers=headers, job_id=str(job.id))
    return RENDERERS.get(job.operation, generation)(job)


RENDERERS: dict[str, Callable[[Job], dict[str, Any]]] = {
    SINGLE: extras.response_body,
    BATCH: extras.response_body,
    controlnet_detect.OPERATION: controlnet_detect.response_body,
    interrogate.OPERATION: caption.response_body,
}


def generation(job: Job) -> dict[str, Any]:
    stored = outputs_of(job)
    outputs = [output for output in stored if output.kind == OutputKind.IMAGE]
    parameters = job.received["parameters"]
    files = _files(job, outputs) if parameters["send_images"] else []
    has_grid = _has_grid(job, outputs)
    shown = mask_images.interleaved(job, files) if files else []
    if has_grid and files:
        shown.insert(0, _grid(job, files, outputs))
    files = shown
    if parameters["send_images"]:
        files += [read_output(output) for output in stored if output.kind == OutputKind.CONTROL_MAP]
    return {
        "images": [images.encode(data) for data in files],
        "parameters": _echo(job),
        "info": json.dumps(info(job, outputs, has_grid=has_grid), ensure_ascii=False),
    }


def _files(job: Job, outputs: list[Output]) -> list[bytes]:
    files = [read_output(output) for output in outputs]
    if job.received["enable_pnginfo"]:
        return files
    return [
        images.without_infotext(data, _label(job, output))
        for data, output in zip(files, outputs, strict=True)
    ]


def _signed(job: Job, data: bytes, number: str) -> bytes:
    return sign(data, job.generation_request.output_format, job.generation_request, number)


def _label(job: Job, output: Output) -> ImplicitLabel:
    return label_of(job, job.generation_request, image_number(job, OutputKind.IMAGE, output.index))


def _has_grid(job: Job, outputs: list[Output]) -> bool:
    is_enabled = job.received["parameters"]["save_images"] and job.received["grid"]["return_grid"]
    minimum = 2 if job.received["grid"]["grid_only_if_multiple"] else 1
    return bool(is_enabled and len(outputs) >= minimum)


def _grid(job: Job, files: list[bytes], outputs: list[Output]) -> bytes:
    infotext = outputs[0].infotext if job.received["enable_pnginfo"] else ""
    rows = images.grid_rows(len(files), job.generation_request.batch_size, job.received["grid"])
    request = job.generation_request
    number = f"{job.pk}-grid"
    data = with_infotext(
        images.grid(files, rows),
        request.output_format,
        infotext,
        quality=request.output_quality,
        label=label_of(job, request, number),
    )
    return _signed(job, data, number)


def _echo(job: Job) -> dict[str, Any]:
    """Parsed request with its defaults. Images are included only if the request has include_init_images."""
    parameters = dict(job.received["parameters"])
    if "init_images" in parameters:
        is_included = parameters["include_init_images"]
        parameters["init_images"] = _init_images(job) if is_included else None
        parameters["mask"] = _mask(job) if is_included else None
    return parameters


def _init_images(job: Job) -> list[str]:
    names = dict.fromkeys(image.sha256 for image in job.generation_request.init_images)
    return [images.encode(read_input(name)) for name in names]


def _mask(job: Job) -> str | None:
    inpaint = job.generation_request.inpaint
    return images.encode(read_input(inpaint.mask.sha256)) if inpaint else None


def info(job: Job, outputs: list[Output], *, has_grid: bool) -> dict[str, Any]:
    request = job.generation_request
    parameters = job.received["parameters"]
    indices = range(request.num_images)
    vae_name, vae_hash = model_fields.vae(request, job.files)
    infotexts = [output.infotext for output in outputs]
    return {
        "prompt": request.prompt,
        "all_prompts": [request.prompt] * request.num_images,
        "negative_prompt": request.negative_prompt,
        "all_negative_prompts": [request.negative_prompt] * request.num_images,
        "seed": request.seed,
        "all_seeds": [request.seed_of(index) for index in indices],
        "subseed": request.subseed,
        "all_subseeds": [request.subseed_of(index) for index in indices],
        "subseed_strength": request.subseed_strength,
        "width": request.width,
        "height": request.height,
        "sampler_name": request.sampler,
        "cfg_scale": request.guidance_scale,
        "steps": request.num_inference_steps,
        "batch_size": request.batch_size,
        "restore_faces": request.face_restoration is not None,
        "face_restoration_model": request.face_restoration.model if request.face_restoration else None,
        "sd_model_name": PurePosixPath(job.checkpoint.path).stem if job.checkpoint else "",
        "sd_model_hash": job.checkpoint_sha256[:10],
        "sd_vae_name": vae_name,
        "sd_vae_hash": vae_hash,
        "seed_resize_from_w": parameters["seed_resize_from_w"],
        "seed_resize_from_h": parameters["seed_resize_from_h"],
        "denoising_strength": parameters["denoising_strength"],
        "extra_generation_params": extra_pairs(job, request),
        "index_of_first_image": int(has_grid),
        "infotexts": infotexts[:1] * has_grid + infotexts,
        "styles": parameters["styles"] or [],
        "job_timestamp": timestamp(job),
        "clip_skip": request.clip_skip,
        "is_using_inpainting_conditioning": job.checkpoint is not None and is_for_inpainting(job.checkpoint),
        "version": VERSION,
        "warnings": [*job.received["warnings"], *prompt_warnings(job)],
    }


def timestamp(job: Job) -> str:
    return f"{timezone.localtime(job.created_at):%Y%m%d%H%M%S}"
