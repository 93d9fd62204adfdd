"""Preparation of a request outside the engine's thread: load models, decode images, build the plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image

from gpu_runner.imaging import images
from gpu_runner.imaging.nsfw import NsfwCheck
from gpu_runner.models.request_models import Models
from gpu_runner.models.store import ModelStore
from gpu_runner.protocol import GenerationRequest, RunRequest
from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from gpu_runner.protocol.errors import InvalidRequest
from gpu_runner.protocol.families.limits import limits
from gpu_runner.protocol.prompt.composition import PromptTooLong
from gpu_runner.protocol.request_parts.backgrounds import ChangeBackground, CutOut
from gpu_runner.protocol.request_parts.details import DetailPass
from gpu_runner.protocol.request_parts.passes import Hires
from gpu_runner.tasks import change_background
from gpu_runner.tasks.analysis import AnalysisPlan, face_crops, finder
from gpu_runner.tasks.generation import Plan
from gpu_runner.tasks.image_tasks import (
    PrecomputedPlan,
    UpscalePlan,
    control_map,
    cut_out,
    pose_finder,
    pose_maps,
)
from gpu_runner.tasks.init_image import Canvas, Source, compose
from gpu_runner.tasks.tiled_upscaling import resize_by_interpolation, run_without_device

from .auxiliary_models import load_upscaler, restoration
from .control_units import ControlUnitBuilder, InitImageView
from .detail_passes import with_details
from .input_images import decode_image, read_sources

AnyPlan = Plan | UpscalePlan | PrecomputedPlan | AnalysisPlan


@dataclass(frozen=True)
class Prepared:
    """A request ready to run."""

    plan: AnyPlan
    check: NsfwCheck | None = None  # NSFW check of finished images
    maps: tuple[bytes, ...] = ()  # control maps as PNG files


def prepare(store: ModelStore, run_request: RunRequest) -> Prepared:
    """Validate the request, load its models and build its plan.

    Raises InvalidRequest, InvalidImage or ModelUnavailable.
    """
    check(run_request.request)
    sources = tuple(read_sources(run_request))
    try:
        plan = _plan(store, run_request, sources)
    except PromptTooLong as error:
        raise InvalidRequest(str(error)) from error
    plan = _with_faces_restored(store, run_request, plan)
    if isinstance(plan, Plan):
        plan = with_details(store, run_request, plan)
    plan = _with_backgrounds_removed(store, run_request, plan)
    plan, maps = _controlled(store, run_request, sources, plan)
    return Prepared(plan, nsfw_check(store, run_request), maps)


def _with_faces_restored(store: ModelStore, run_request: RunRequest, plan: AnyPlan) -> AnyPlan:
    faces = restoration(store, run_request, run_request.request.face_restoration)
    return (
        plan
        if faces is None or isinstance(plan, PrecomputedPlan | AnalysisPlan)
        else replace(plan, faces=faces)
    )


def _with_backgrounds_removed(store: ModelStore, run_request: RunRequest, plan: AnyPlan) -> AnyPlan:
    part = run_request.request.cut_out
    if part is None or not isinstance(plan, Plan):
        return plan
    return replace(plan, matting=store.onnx.get(run_request.file("matting", part.matting_model), "matting"))


def _controlled(
    store: ModelStore, run_request: RunRequest, sources: tuple[Source, ...], plan: AnyPlan
) -> tuple[AnyPlan, tuple[bytes, ...]]:
    if not run_request.request.controls or not isinstance(plan, Plan):
        return plan, ()
    init_views = InitImageView.of(sources, plan.canvases)
    builder = ControlUnitBuilder(
        store, run_request, plan, init_views, lambda image: decode_image(run_request, image)
    )
    controls = builder.controls()
    return plan.controlled_by(controls), tuple(images.png(image) for image in controls.maps())


def _plan(store: ModelStore, run_request: RunRequest, sources: tuple[Source, ...]) -> AnyPlan:
    if run_request.request.task == "cut_out" and run_request.request.cut_out is not None:
        return _cut_out(store, run_request, run_request.request.cut_out, sources)
    if run_request.request.analysis is not None:
        find = finder(store, run_request, run_request.request.analysis)
        crops_of = face_crops if run_request.request.analysis.crops else None
        return AnalysisPlan(tuple(source.image for source in sources), find, crops_of)
    if run_request.request.task == "control_map":
        return _control_maps(store, run_request, [source.image for source in sources])
    request = change_background.inpainting_request(run_request.request)
    if request.upscale is not None:
        first, second = (
            load_upscaler(store, run_request, name)
            for name in (request.upscale.upscaler, request.upscale.upscaler_2)
        )
        return UpscalePlan.of(request, request.upscale, sources, first, second)
    second_stage = request.hires or request.tiled
    upscaler = load_upscaler(store, run_request, second_stage.upscaler if second_stage else request.upscaler)
    models = Models.of(store, run_request)
    _check_family(models, request)
    plan = Plan.of(request, models, upscaler)
    if run_request.request.change_background is not None:
        return replace(plan, canvases=_backdrops(store, run_request, run_request.request.change_background))
    if isinstance(upscaler, str) and request.tiled is None and not request.details_only:
        return replace(plan, canvases=_canvases(request, sources, upscaler))
    return replace(plan, sources=sources)


def _check_family(models: Models, request: GenerationRequest) -> None:
    """Admission refuses the same, for files whose family it knows."""
    family = models.checkpoint.facts
    if limit := next(limits(family, request), None):
        allowed = f": {', '.join(limit.allowed)}" if limit.allowed else ""
        raise InvalidRequest(f"{family.label} does not support {limit.name} {limit.got}".rstrip() + allowed)
    for second in filter(None, (models.refiner, models.hires)):
        if second.family != family.name and (second.facts.flow or family.flow):
            raise InvalidRequest(f"a second checkpoint must be of the family {family.label}")


def _control_maps(
    store: ModelStore, run_request: RunRequest, init_images: Sequence[Image.Image]
) -> PrecomputedPlan | AnalysisPlan:
    """With poses, if the preprocessor finds some: the map is drawn from them."""
    find = pose_finder(store, run_request)
    if find is not None:
        return AnalysisPlan(tuple(init_images), find, pose_maps)
    return PrecomputedPlan(tuple(control_map(store, run_request, image) for image in init_images))


def _cut_out(
    store: ModelStore, run_request: RunRequest, part: CutOut, sources: tuple[Source, ...]
) -> PrecomputedPlan:
    model = store.onnx.get(run_request.file("matting", part.matting_model), "matting")
    return cut_out(run_request.request, part, [source.image for source in sources], model)


def _canvases(request: GenerationRequest, sources: tuple[Source, ...], upscaler: str) -> tuple[Canvas, ...]:
    canvas_of = {
        id(source): run_without_device(compose(request, source, resize_by_interpolation(upscaler)))
        for source in sources
    }
    return tuple(canvas_of[id(source)] for source in sources)


def _backdrops(store: ModelStore, run_request: RunRequest, part: ChangeBackground) -> tuple[Canvas, ...]:
    """Return one canvas per init image. Matting is slower than a step, so it runs here, not in the engine."""
    request = run_request.request
    mask = decode_image(run_request, part.mask) if part.mask else None
    matting = None
    if mask is None and part.cut_out_by == "matting":
        matting = store.onnx.get(run_request.file("matting", part.matting_model), "matting")
    letters = None
    if mask is None and part.cut_out_by == "letters":
        letters = store.onnx.get(run_request.file("text_detector", part.text_detector), "text_detector")
    canvas_of = {}
    for image in set(request.init_images):
        decoded = decode_image(run_request, image)
        if letters is not None:
            product = change_background.without_letters(decoded, request.background, letters)
        else:
            product = change_background.cut_out(decoded, mask, part, request.background, matting)
        canvas_of[image] = change_background.canvas(request, part, product)
    return tuple(canvas_of[image] for image in request.init_images)


def nsfw_check(store: ModelStore, run_request: RunRequest) -> NsfwCheck | None:
    wanted = run_request.request.nsfw
    if wanted.policy == "off":
        return None
    detector = store.onnx.get(run_request.file("nsfw", wanted.model), "nsfw")
    return NsfwCheck.of(detector, wanted.policy, wanted.threshold)


def check(request: GenerationRequest) -> None:
    """Raises InvalidRequest for an unknown sampler or scheduler."""
    parts: list[GenerationRequest | Hires | DetailPass] = [
        request,
        *([request.hires] if request.hires else []),
        *request.detail_passes,
    ]
    for part in parts:
        if part.sampler and not sampler_catalog.is_sampler(part.sampler):
            raise InvalidRequest(f"unknown sampler {part.sampler!r}")
        if part.scheduler and not sampler_catalog.is_scheduler(part.scheduler):
            raise InvalidRequest(f"unknown scheduler {part.scheduler!r}")
