"""Preparation of detail passes: load their detectors and models, and check what can be checked before the image is there."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from gpu_runner.controlnet.units import UnitsPerImage
from gpu_runner.imaging.object_detection import ObjectDetector
from gpu_runner.imaging.regions import Detect, face_regions
from gpu_runner.models.loaders.controlnet import check_family
from gpu_runner.models.request_models import Models
from gpu_runner.models.store import ModelStore
from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.protocol import GenerationRequest, RunRequest
from gpu_runner.protocol.errors import InvalidRequest
from gpu_runner.protocol.prompt.composition import PromptTooLong
from gpu_runner.protocol.request_parts.details import DetailPass
from gpu_runner.protocol.step_count import detail_request
from gpu_runner.tasks.detailing import BuildUnits, Detailing
from gpu_runner.tasks.generation import Pass, Plan
from gpu_runner.tasks.init_image import Canvas, Source

from .auxiliary_models import load_upscaler, restoration
from .control_units import ControlUnitBuilder, InitImageView
from .input_images import decode_image


def with_details(store: ModelStore, run_request: RunRequest, plan: Plan) -> Plan:
    """Add the detail passes of the request to its plan. Raises InvalidRequest or ModelUnavailable."""
    details = tuple(_detailing(store, run_request, part) for part in run_request.request.detail_passes)
    return replace(plan, details=details)


def _detailing(store: ModelStore, run_request: RunRequest, part: DetailPass) -> Detailing:
    requests = [
        detail_request(run_request.request, part, 0, number) for number in range(max(1, len(part.regions)))
    ]
    models = tuple(_model(store, run_request, part, request) for request in requests)
    try:
        passes = [Pass.of(request, model) for request, model in zip(requests, models, strict=True)]
    except PromptTooLong as error:
        raise InvalidRequest(str(error)) from error
    return Detailing(
        part,
        _detector(store, run_request, part),
        models,
        load_upscaler(store, run_request, run_request.request.upscaler),
        passes[0].sampling.steps,
        restoration(store, run_request, part.face_restoration),
        _unit_builder(store, run_request, part, models[0]),
    )


def _model(
    store: ModelStore, run_request: RunRequest, part: DetailPass, request: GenerationRequest
) -> LoadedCheckpoint:
    file = run_request.file("checkpoint", part.checkpoint) if part.checkpoint else run_request.checkpoint_file
    changes = {"request": request, "checkpoint": file}
    return Models.of(store, run_request.model_copy(update=changes)).checkpoint


def _detector(store: ModelStore, run_request: RunRequest, part: DetailPass) -> Detect:
    file = run_request.file(part.detector_kind, part.detector)
    if part.detector_kind == "detector":
        return ObjectDetector(store.onnx.get(file, "detector"), part.confidence, part.classes).detect
    return partial(face_regions, store.onnx.face_detector(file), part.confidence, part.shape)


def _unit_builder(
    store: ModelStore, run_request: RunRequest, part: DetailPass, model: LoadedCheckpoint
) -> BuildUnits | None:
    if not part.controls:
        return None
    for unit in part.controls:
        if unit.model:
            controlnet = store.controlnet(run_request.file("controlnet", unit.model))
            check_family(controlnet, model, unit.model)
    return partial(_units, store, run_request)


def _units(
    store: ModelStore,
    run_request: RunRequest,
    request: GenerationRequest,
    model: LoadedCheckpoint,
    source: Source,
    canvas: Canvas,
) -> UnitsPerImage:
    """Control units of a region. Those without an image use the part of the image that is inpainted."""
    builder = ControlUnitBuilder(
        store,
        run_request.model_copy(update={"request": request}),
        Plan(request, Pass.of(request, model), canvases=(canvas,)),
        InitImageView.of((source,), (canvas,)),
        lambda image: decode_image(run_request, image),
    )
    return builder.controls().first
