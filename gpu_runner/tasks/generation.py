"""One picture's way from a request to pixels, as a generator: it yields what it needs of the device, and is sent the result."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from PIL import Image
from torch import Tensor

from gpu_runner.controlnet import postprocessing
from gpu_runner.controlnet.units import PreparedControls, PreparedUnit, UnitsPerImage
from gpu_runner.imaging import images
from gpu_runner.models.request_models import Models
from gpu_runner.networks.conditioning import TextEncodingOptions
from gpu_runner.networks.loaded import LoadedCheckpoint, LoadedUpscaler
from gpu_runner.networks.operations import DecodeLatent, EncodeImage, OffloadedWork, Operation
from gpu_runner.protocol import GenerationRequest, sampler_catalog
from gpu_runner.protocol.prompt.composition import PromptComposition
from gpu_runner.protocol.schedules.sigmas import NoiseLevels
from gpu_runner.protocol.step_count import hires_request
from gpu_runner.protocol.upscaler_catalog import LANCZOS, latent_mode
from gpu_runner.samplers.noise import NoiseStream

from . import hires, inpainting, tiled_upscaling
from .control_schedule import ControlSchedule, schedule_controls
from .denoising_loop import (
    LATENT_SCALE,
    DenoiseContext,
    RefinerSwitch,
    SamplingConfig,
    StopFlag,
    run_denoising_loop,
)
from .face_restoration import Patches, Restoration
from .guidance_schedule import GuidanceSchedule, directed, wording_of
from .init_image import Canvas, Source, compose
from .inpainting import LatentMask


def _as_it_is(picture: Image.Image) -> Image.Image:
    return picture


@dataclass(frozen=True, eq=False)
class RawOutput:
    """Pixels as the device left them, and what is still to be done to them, beside the engine's thread."""

    pixels: Tensor | Image.Image
    finish: Callable[[Image.Image], Image.Image] = _as_it_is

    def off_the_device(self) -> RawOutput:
        return replace(self, pixels=self.pixels.cpu()) if isinstance(self.pixels, Tensor) else self

    def picture(self) -> Image.Image:
        pixels = self.pixels
        return self.finish(images.from_tensor(pixels) if isinstance(pixels, Tensor) else pixels)


Task = Generator[Operation | OffloadedWork, Any, RawOutput]


@dataclass(frozen=True)
class Pass:
    """One walk: its request says in whose words, its model estimates."""

    request: GenerationRequest
    model: LoadedCheckpoint
    way: SamplingConfig
    words: PromptComposition
    wording: TextEncodingOptions
    refiner: Pass | None = None  # which takes over on the way
    units: UnitsPerImage = ((),)

    @classmethod
    def of(cls, request: GenerationRequest, model: LoadedCheckpoint, before: Pass | None = None) -> Pass:
        way = SamplingConfig.of(request, NoiseLevels(model.alphas_cumprod, is_sdxl=model.is_sdxl))
        earlier = _calls(before.request) if before else None
        words = PromptComposition.of(
            request.prompt, request.negative_prompt, _calls(request), first_pass=earlier
        )
        return cls(request, model, way, words, wording_of(request, model))

    def refined_by(self, model: LoadedCheckpoint | None) -> Pass:
        if model is None:
            return self
        return replace(self, refiner=replace(self, model=model, wording=wording_of(self.request, model)))

    def direction(self) -> Generator[Operation, Any, GuidanceSchedule]:
        return (yield from directed(self.model, self.words, self.wording, self.request.guidance_scale))

    def units_of(self, index: int) -> tuple[PreparedUnit, ...]:
        return self.units[index if len(self.units) > 1 else 0]

    def schedule_controls(self, index: int) -> Generator[Operation, Any, tuple[ControlSchedule, ...]]:
        return (yield from schedule_controls(self.units_of(index), self.model, self.request.seed_of(index)))

    def noise(self, index: int) -> NoiseStream:
        return NoiseStream.of(self.request, index, self.way.latent_shape, self.model.device)


def _calls(request: GenerationRequest) -> int:
    return sampler_catalog.sampler(request.sampler).nominal_calls(request.num_inference_steps)


@dataclass(frozen=True)
class Plan:
    """What the pictures of one request have in common."""

    request: GenerationRequest
    first: Pass
    second: Pass | None = None
    upscaler: LoadedUpscaler | str = LANCZOS  # of the init images, or between the passes
    canvases: tuple[Canvas, ...] = ()  # one for all pictures, or one each
    sources: tuple[Source, ...] = ()  # likewise, where only the device can make canvases of them
    faces: Restoration | None = None  # of the finished pictures

    @classmethod
    def of(
        cls,
        request: GenerationRequest,
        models: Models,
        upscaler: LoadedUpscaler | str = LANCZOS,
    ) -> Plan:
        """The refiner refines the last pass, as A1111 does by default."""
        first = Pass.of(request, models.checkpoint)
        if request.hires is None:
            return cls(request, first.refined_by(models.refiner), None, upscaler)
        wanted = hires_request(request, request.hires)
        second = Pass.of(wanted, models.hires or models.checkpoint, first)
        return cls(request, first, second.refined_by(models.refiner), upscaler)

    @property
    def checkpoint(self) -> LoadedCheckpoint:
        return self.first.model

    @property
    def steps(self) -> int:
        """How often each picture will ask a UNet."""
        return self.first.way.steps + (self.second.way.steps if self.second else 0)

    def controlled_by(self, controls: PreparedControls) -> Plan:
        second = replace(self.second, units=controls.second) if self.second else None
        return replace(self, first=replace(self.first, units=controls.first), second=second)

    def begin(self, index: int, brake: StopFlag) -> Task:
        return draw(self, index, brake)


def draw(plan: Plan, index: int, brake: StopFlag) -> Task:
    canvas = yield from _canvas(plan, index)
    latent = yield from _first_pass(plan.first, canvas, index, brake)
    last = plan.first
    if plan.second is not None and not brake.pulled:
        latent = yield from _second_pass(plan, plan.second, latent, index, brake)
        last = plan.second
    pixels = yield DecodeLatent((last.refiner or last).model, latent)
    if plan.faces is None:
        return RawOutput(pixels, partial(_finish, last.units_of(index), canvas, Patches()))
    picture = images.from_tensor(pixels)
    patches = yield from plan.faces.patches(picture)
    return RawOutput(picture, partial(_finish, last.units_of(index), canvas, patches))


def _finish(
    units: tuple[PreparedUnit, ...], canvas: Canvas | None, patches: Patches, drawn: Image.Image
) -> Image.Image:
    drawn = postprocessing.apply_postprocessing(units, patches.over(drawn))
    return canvas.finish(drawn) if canvas else drawn


def _canvas(plan: Plan, index: int) -> Generator[Operation, Any, Canvas | None]:
    """What img2img begins with; txt2img has none."""
    if len(plan.canvases) == 1:
        return plan.canvases[0]
    if plan.canvases:
        return replace(plan.canvases[index])  # whose pixels are forgotten with this picture
    if not plan.sources:
        return None
    source = plan.sources[index if len(plan.sources) > 1 else 0]
    return (yield from compose(plan.request, source, partial(tiled_upscaling.resize, plan.upscaler)))


def _first_pass(
    walked: Pass, canvas: Canvas | None, index: int, brake: StopFlag
) -> Generator[Operation, Any, Tensor]:
    direction = yield from walked.direction()
    noise = walked.noise(index)
    latent, keeping = None, None
    if canvas is not None:
        latent = yield from _encoded(walked, canvas)
        if canvas.mask is not None:
            keeping = inpainting.keeping(canvas, latent, walked.noise(index))
            latent = keeping.original
    x = walked.way.start(latent, noise)
    if keeping is not None:
        keeping = keeping.began_at(x, walked.way.sigmas[0])
    steerings = yield from walked.schedule_controls(index)
    return (yield from _walk(walked, direction, x, noise, brake, canvas, keeping, steerings))


def _second_pass(
    plan: Plan, walked: Pass, latent: Tensor, index: int, brake: StopFlag
) -> Generator[Operation, Any, Tensor]:
    """Its noise is fresh, from the same seed, at the new size."""
    direction = yield from walked.direction()
    width, height = walked.request.width, walked.request.height
    assert plan.request.hires is not None
    mode = latent_mode(plan.request.hires.upscaler)
    if mode is not None:
        latent = hires.enlarged_latent(latent, mode, width, height)
    else:
        latent = yield from hires.enlarged_picture(
            plan.first.model, walked.model, latent, plan.upscaler, (width, height)
        )
    noise = walked.noise(index)
    x, steerings = walked.way.start(latent, noise), (yield from walked.schedule_controls(index))
    return (yield from _walk(walked, direction, x, noise, brake, steerings=steerings))


def _encoded(walked: Pass, canvas: Canvas) -> Generator[Operation, Any, Tensor]:
    latent = yield EncodeImage(walked.model, canvas.pixels)
    if tuple(latent.shape[-2:]) != walked.way.latent_shape[-2:]:  # resize mode "latent"
        width, height = walked.request.width, walked.request.height
        mode = latent_mode("Latent")
        assert mode is not None
        latent = tiled_upscaling.interpolate(latent, mode, width // LATENT_SCALE, height // LATENT_SCALE)
    return latent


def _walk(
    walked: Pass,
    direction: GuidanceSchedule,
    x: Tensor,
    noise: NoiseStream,
    brake: StopFlag,
    canvas: Canvas | None = None,
    keeping: LatentMask | None = None,
    steerings: tuple[ControlSchedule, ...] = (),
) -> Generator[Operation, Any, Tensor]:
    first = yield from _script(walked, direction, canvas, keeping, steerings)
    script: DenoiseContext | RefinerSwitch = first
    if walked.refiner is not None and walked.request.refiner is not None:
        words = yield from walked.refiner.direction()
        alike = walked.refiner.model.is_built_like(walked.model)
        second = yield from _script(walked.refiner, words, canvas, keeping, steerings if alike else ())
        script = RefinerSwitch(first, second, walked.request.refiner.switch_at)
    latent = yield from run_denoising_loop(walked.way, script, x, noise, brake)
    return latent if keeping is None else keeping.blend(latent)


def _script(
    walked: Pass,
    direction: GuidanceSchedule,
    canvas: Canvas | None,
    keeping: LatentMask | None,
    steerings: tuple[ControlSchedule, ...],
) -> Generator[Operation, Any, DenoiseContext]:
    extra = None
    if inpainting.is_made_for_inpainting(walked.model):
        size = walked.request.width, walked.request.height
        extra = yield from inpainting.conditioning(walked.model, *size, canvas)
    return DenoiseContext(walked.model, direction, keeping, extra, steerings)
