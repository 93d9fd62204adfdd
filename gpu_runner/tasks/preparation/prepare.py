"""What an order needs before its first step, done beside the engine's thread: files read, pictures decoded."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gpu_runner.imaging import images
from gpu_runner.imaging.nsfw import NsfwCheck
from gpu_runner.models.request_models import Models
from gpu_runner.models.store import ModelStore
from gpu_runner.networks.loaded import LoadedUpscaler
from gpu_runner.protocol import GenerationRequest, RunRequest, sampler_catalog, upscaler_catalog
from gpu_runner.protocol.errors import InvalidRequest
from gpu_runner.protocol.generation_request import ChangeBackground, CutOut
from gpu_runner.protocol.prompt.composition import PromptTooLong
from gpu_runner.tasks import change_background
from gpu_runner.tasks.face_restoration import Restoration
from gpu_runner.tasks.generation import Plan
from gpu_runner.tasks.image_tasks import PrecomputedPlan, UpscalePlan, control_map, cut_out
from gpu_runner.tasks.init_image import Canvas, Source, compose
from gpu_runner.tasks.tiled_upscaling import resize_by_itself, run_by_itself

from .control_units import ControlUnitBuilder, InitImageView
from .input_images import opened, read_sources

AnyPlan = Plan | UpscalePlan | PrecomputedPlan


@dataclass(frozen=True)
class Prepared:
    plan: AnyPlan
    check: NsfwCheck | None = None  # what finished pictures go through
    maps: tuple[bytes, ...] = ()  # PNG files of what ControlNets are shown


def prepare(store: ModelStore, order: RunRequest) -> Prepared:
    check(order.request)
    sources = tuple(read_sources(order))
    try:
        plan = _plan(store, order, sources)
    except PromptTooLong as error:
        raise InvalidRequest(str(error)) from error
    plan, maps = _controlled(store, order, sources, _with_faces_restored(store, order, plan))
    return Prepared(plan, nsfw_check(store, order), maps)


def _with_faces_restored(store: ModelStore, order: RunRequest, plan: AnyPlan) -> AnyPlan:
    part = order.request.face_restoration
    if part is None or part.visibility == 0 or isinstance(plan, PrecomputedPlan):
        return plan
    detector = store.onnx.face_detector(order.file("face_detector", part.detector))
    restorer = store.face_restorer(order.file("face_restorer", part.model))
    return replace(plan, faces=Restoration(detector, restorer, part.visibility))


def _controlled(
    store: ModelStore, order: RunRequest, sources: tuple[Source, ...], plan: AnyPlan
) -> tuple[AnyPlan, tuple[bytes, ...]]:
    if not order.request.controls or not isinstance(plan, Plan):
        return plan, ()
    beginnings = InitImageView.of(sources, plan.canvases)
    room = ControlUnitBuilder(store, order, plan, beginnings, lambda picture: opened(order, picture))
    controls = room.controls()
    return plan.controlled_by(controls), tuple(images.png(picture) for picture in controls.maps())


def _plan(store: ModelStore, order: RunRequest, sources: tuple[Source, ...]) -> AnyPlan:
    if order.request.cut_out is not None:
        return _cut_out(store, order, order.request.cut_out, sources)
    if order.request.task == "control_map":
        return PrecomputedPlan(tuple(control_map(store, order, source.picture) for source in sources))
    request = change_background.drawing_request(order.request)
    if request.upscale is not None:
        first, second = (
            _upscaler(store, order, name) for name in (request.upscale.upscaler, request.upscale.upscaler_2)
        )
        return UpscalePlan.of(request, request.upscale, sources, first, second)
    upscaler = _upscaler(store, order, request.hires.upscaler if request.hires else request.upscaler)
    plan = Plan.of(request, Models.of(store, order), upscaler)
    if order.request.change_background is not None:
        return replace(plan, canvases=_backdrops(store, order, order.request.change_background))
    if isinstance(upscaler, str):
        return replace(plan, canvases=_canvases(request, sources, upscaler))
    return replace(plan, sources=sources)


def _cut_out(
    store: ModelStore, order: RunRequest, part: CutOut, sources: tuple[Source, ...]
) -> PrecomputedPlan:
    model = store.onnx.get(order.file("matting", part.matting_model), "matting")
    return cut_out(order.request, part, [source.picture for source in sources], model)


def _upscaler(store: ModelStore, order: RunRequest, name: str) -> LoadedUpscaler | str:
    """A model where the name means a file."""
    file = upscaler_catalog.file_of(name)
    return store.upscaler(order.file("upscaler", file)) if file else name or upscaler_catalog.LANCZOS


def _canvases(request: GenerationRequest, sources: tuple[Source, ...], upscaler: str) -> tuple[Canvas, ...]:
    made = {
        id(source): run_by_itself(compose(request, source, resize_by_itself(upscaler))) for source in sources
    }
    return tuple(made[id(source)] for source in sources)


def _backdrops(store: ModelStore, order: RunRequest, part: ChangeBackground) -> tuple[Canvas, ...]:
    """One for each init image. Matting takes longer than a step, and here it keeps nobody from his steps."""
    request = order.request
    mask = opened(order, part.mask) if part.mask else None
    matting = None
    if mask is None and part.cut_out_by == "matting":
        matting = store.onnx.get(order.file("matting", part.matting_model), "matting")
    made = {}
    for picture in set(request.init_images):
        product = change_background.cut_out(opened(order, picture), mask, part, request.background, matting)
        made[picture] = change_background.canvas(request, part, product)
    return tuple(made[picture] for picture in request.init_images)


def nsfw_check(store: ModelStore, order: RunRequest) -> NsfwCheck | None:
    wanted = order.request.nsfw
    if wanted.policy == "off":
        return None
    detector = store.onnx.get(order.file("nsfw", wanted.model), "nsfw")
    return NsfwCheck.of(detector, wanted.policy, wanted.threshold)


def check(request: GenerationRequest) -> None:
    for sampler in (request.sampler, request.hires.sampler if request.hires else ""):
        if sampler and sampler not in {known.name for known in sampler_catalog.SAMPLERS}:
            raise InvalidRequest(f"there is no sampler {sampler!r}")
    for scheduler in (request.scheduler, request.hires.scheduler if request.hires else ""):
        if scheduler and not sampler_catalog.is_scheduler(scheduler):
            raise InvalidRequest(f"there is no scheduler {scheduler!r}")
