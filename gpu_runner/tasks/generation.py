"""Image generation as a generator: yields device operations, receives their results, returns the pixels."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from PIL import Image
from torch import Tensor

from gpu_runner.controlnet import postprocessing
from gpu_runner.controlnet.units import PreparedControls, PreparedUnit, UnitsPerImage
from gpu_runner.imaging import images
from gpu_runner.imaging.matting import cut_out_subject
from gpu_runner.models.request_models import Models
from gpu_runner.networks.conditioning import TextEncodingOptions
from gpu_runner.networks.loaded import LoadedCheckpoint, LoadedUpscaler
from gpu_runner.networks.onnx_model import OnnxModel
from gpu_runner.networks.operations import DecodeLatent, EncodeImage, OffloadedWork, Operation, StepsLeftOut
from gpu_runner.protocol import Finding, GenerationRequest
from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from gpu_runner.protocol.catalogs.upscalers import LANCZOS, latent_mode
from gpu_runner.protocol.prompt.composition import PromptComposition
from gpu_runner.protocol.step_count import detail_request, hires_request
from gpu_runner.samplers.noise import NoiseStream

from . import control_image, hires, inpainting, instruct, magic_mix, sd_upscale, tiled_upscaling
from .control_schedule import ControlSchedule, schedule_controls
from .denoising_loop import (
    DenoiseContext,
    Layout,
    RefinerSwitch,
    SamplingConfig,
    StopFlag,
    run_denoising_loop,
)
from .detailing import Detailing
from .face_restoration import Patches, Restoration
from .guidance_schedule import GuidanceSchedule, encode_guidance, text_options_of
from .init_image import Canvas, Source, compose
from .inpainting import LatentMask
from .noise_levels import noise_levels


def _identity(image: Image.Image) -> Image.Image:
    return image


@dataclass(frozen=True, eq=False)
class RawOutput:
    """Output of the device, and the postprocessing that runs on another thread than the engine's."""

    pixels: Tensor | Image.Image
    finish: Callable[[Image.Image], Image.Image] = _identity
    regions_left_out: int = 0  # detected, but beyond the maximum of their detail pass

    def on_cpu(self) -> RawOutput:
        return replace(self, pixels=self.pixels.cpu()) if isinstance(self.pixels, Tensor) else self

    def image(self) -> Image.Image:
        pixels = self.pixels
        return self.finish(images.from_tensor(pixels) if isinstance(pixels, Tensor) else pixels)


@dataclass(frozen=True, eq=False)
class Examination:
    """An image and the detector to apply to it, on another thread than the engine's. The result is data, not an image."""

    image: Image.Image
    find: Callable[[Image.Image], Finding]
    crops_of: Callable[[Image.Image, Finding], Sequence[Image.Image]] | None = None

    def on_cpu(self) -> Examination:
        return self

    def finding(self) -> Finding:
        return self.find(self.image)

    def crops(self, finding: Finding) -> Sequence[Image.Image]:
        """Return the parts of the image that are sent beside the finding."""
        return self.crops_of(self.image, finding) if self.crops_of else ()


ImageTask = Generator[Operation | OffloadedWork | StepsLeftOut, Any, RawOutput]
Task = Generator[Operation | OffloadedWork | StepsLeftOut, Any, RawOutput | Examination]


@dataclass(frozen=True)
class Pass:
    """One denoising pass: request, checkpoint and optional refiner."""

    request: GenerationRequest
    model: LoadedCheckpoint
    sampling: SamplingConfig
    prompts: PromptComposition
    text_options: TextEncodingOptions
    refiner: Pass | None = None  # replaces this model after switch_at
    units: UnitsPerImage = ((),)

    @classmethod
    def of(cls, request: GenerationRequest, model: LoadedCheckpoint, before: Pass | None = None) -> Pass:
        levels = noise_levels(model, request.width, request.height, request.num_inference_steps)
        sampling = SamplingConfig.of(request, levels, model.facts.latents)
        first_pass_calls = _calls(before.request) if before else None
        prompts = PromptComposition.of(
            request.prompt, request.negative_prompt, _calls(request), first_pass=first_pass_calls
        )
        return cls(request, model, sampling, prompts, text_options_of(request, model))

    def refined_by(self, model: LoadedCheckpoint | None) -> Pass:
        if model is None:
            return self
        return replace(
            self, refiner=replace(self, model=model, text_options=text_options_of(self.request, model))
        )

    def guidance(self) -> Generator[Operation, Any, GuidanceSchedule]:
        request = self.request
        image_scale = instruct.image_scale(self.model, request)
        return (
            yield from encode_guidance(
                self.model, self.prompts, self.text_options, request.guidance_scale, image_scale
            )
        )

    def units_of(self, index: int) -> tuple[PreparedUnit, ...]:
        return self.units[index if len(self.units) > 1 else 0]

    def schedule_controls(self, index: int) -> Generator[Operation, Any, tuple[ControlSchedule, ...]]:
        return (yield from schedule_controls(self.units_of(index), self.model, self.request.seed_of(index)))

    def noise(self, index: int) -> NoiseStream:
        sampling = self.sampling
        shape, scale = sampling.latent_shape, sampling.latents.scale
        return NoiseStream.of(self.request, index, shape, self.model.device, scale)

    def plain_noise(self, index: int) -> NoiseStream:
        """Noise of the image's seed alone, without variation and seed resize. As in A1111, it replaces masked content."""
        shape, source = self.sampling.latent_shape, self.request.noise_source
        return NoiseStream(self.request.seed_of(index), shape, self.model.device, source=source)


def _calls(request: GenerationRequest) -> int:
    return sampler_catalog.sampler(request.sampler).nominal_calls(request.num_inference_steps)


@dataclass(frozen=True)
class Plan:
    """Shared state of all images of one request."""

    request: GenerationRequest
    first: Pass
    second: Pass | None = None
    upscaler: LoadedUpscaler | str = LANCZOS  # for the init images, or between the passes
    canvases: tuple[Canvas, ...] = ()  # one for all images, or one each
    sources: tuple[
        Source, ...
    ] = ()  # likewise, if an upscaler model must run on the device to build the canvases
    faces: Restoration | None = None  # applied to the finished images
    matting: OnnxModel | None = None  # removes the background of the finished images
    details: tuple[Detailing, ...] = ()  # applied after that

    @classmethod
    def of(
        cls,
        request: GenerationRequest,
        models: Models,
        upscaler: LoadedUpscaler | str = LANCZOS,
    ) -> Plan:
        """Build the plan. The refiner applies to the last pass, as by default in A1111."""
        first = Pass.of(request, models.checkpoint)
        if request.hires is None:
            return cls(request, first.refined_by(models.refiner), None, upscaler)
        hires_pass_request = hires_request(request, request.hires)
        second = Pass.of(hires_pass_request, models.hires or models.checkpoint, first)
        return cls(request, first, second.refined_by(models.refiner), upscaler)

    @property
    def checkpoint(self) -> LoadedCheckpoint:
        return self.first.model

    @property
    def steps(self) -> int:
        """UNet calls per image, in all passes; of the detail passes, the maximum."""
        first = 0 if self.request.details_only else self.first.sampling.steps
        steps = first + (self.second.sampling.steps if self.second else 0)
        return steps * self.request.tiles + sum(detailing.steps for detailing in self.details)

    def controlled_by(self, controls: PreparedControls) -> Plan:
        second = replace(self.second, units=controls.second) if self.second else None
        return replace(self, first=replace(self.first, units=controls.first), second=second)

    def of_tile(self, request: GenerationRequest, tile: Image.Image) -> Plan:
        """Return the plan of one tile of SD upscale."""
        canvas = Canvas(tile, corrects=request.colour_correction)
        first = replace(self.first, request=request)
        return replace(self, request=request, first=first, canvases=(canvas,), sources=())

    def begin(self, index: int, stop_flag: StopFlag) -> Task:
        generate = generate_tiled_image if self.request.tiled else generate_image
        task = generate(self, index, stop_flag)
        return task if self.matting is None else _without_background(task, self.matting)


def _without_background(task: ImageTask, matting: OnnxModel) -> ImageTask:
    """Make what is behind the subject of the finished image transparent."""
    raw = yield from task
    return replace(raw, finish=lambda image: cut_out_subject(matting, raw.finish(image)))


def generate_image(plan: Plan, index: int, stop_flag: StopFlag) -> ImageTask:
    """Generate the image with this index: passes, VAE decode, face restoration, detail passes."""
    if plan.request.details_only:
        source = plan.sources[index if len(plan.sources) > 1 else 0].image
        image, left_out = yield from _detailed(plan, source, None, index, stop_flag)
        return RawOutput(image, regions_left_out=left_out)
    canvas = yield from _canvas(plan, index)
    latent = yield from _first_pass(plan.first, canvas, index, stop_flag)
    last = plan.first
    if plan.second is not None and not stop_flag.requested:
        latent = yield from _second_pass(plan, plan.second, latent, index, stop_flag)
        last = plan.second
    pixels = yield DecodeLatent((last.refiner or last).model, latent)
    units, patches = last.units_of(index), Patches()
    if plan.faces is None and not plan.details:
        return RawOutput(pixels, partial(_finish, units, canvas, patches))
    image = images.from_tensor(pixels)
    if plan.faces is not None:
        patches = yield from plan.faces.patches(image)
    if not plan.details:
        return RawOutput(image, partial(_finish, units, canvas, patches))
    image = yield OffloadedWork(partial(_finish, units, None, patches, image))
    image, left_out = yield from _detailed(plan, image, canvas, index, stop_flag)
    return RawOutput(image, canvas.finish if canvas else _identity, left_out)


def _detailed(
    plan: Plan, image: Image.Image, canvas: Canvas | None, index: int, stop_flag: StopFlag
) -> Generator[Operation | OffloadedWork | StepsLeftOut, Any, tuple[Image.Image, int]]:
    """Apply the detail passes. Without a region, the image is returned as it is. Also the number of regions left out."""
    all_left_out = 0
    for detailing in plan.details:
        if stop_flag.requested:
            break
        masks, left_out = yield OffloadedWork(partial(detailing.masks, plan.request, image, canvas))
        all_left_out += left_out
        numbers = [number for number in range(len(masks)) if not detailing.part.region(number).skip]
        yield StepsLeftOut(detailing.steps - detailing.steps_per_region * len(numbers))
        for number in numbers:
            if not stop_flag.requested:
                request = detail_request(plan.request, detailing.part, index, number)
                source = Source(image, masks[number])
                image = yield from _inpaint(request, detailing, detailing.model(number), source, stop_flag)
    return image, all_left_out


def _inpaint(
    request: GenerationRequest,
    detailing: Detailing,
    model: LoadedCheckpoint,
    source: Source,
    stop_flag: StopFlag,
) -> Generator[Operation | OffloadedWork | StepsLeftOut, Any, Image.Image]:
    """Inpaint one region of a finished image."""
    canvas = yield from _composed(request, source, detailing.upscaler)
    first = Pass.of(request, model)
    if detailing.build_units is not None:
        units = yield OffloadedWork(partial(detailing.build_units, request, model, source, canvas))
        first = replace(first, units=units)
    plan = Plan(request, first, canvases=(canvas,), faces=detailing.faces)
    raw = yield from generate_image(plan, 0, stop_flag)
    return (yield OffloadedWork(raw.on_cpu().image))


def _composed(
    request: GenerationRequest, source: Source, upscaler: LoadedUpscaler | str
) -> Generator[Operation | OffloadedWork, Any, Canvas]:
    """Compose the canvas on another thread, unless an upscaler model must run on the device."""
    if not isinstance(upscaler, str):
        return (yield from compose(request, source, partial(tiled_upscaling.resize, upscaler)))
    composing = compose(request, source, tiled_upscaling.resize_by_interpolation(upscaler))
    return (yield OffloadedWork(partial(tiled_upscaling.run_without_device, composing)))


def generate_tiled_image(plan: Plan, index: int, stop_flag: StopFlag) -> ImageTask:
    """Enlarge the init image, generate each tile of it, and join them. Tiles that follow a stop are left as they are."""
    request, part = plan.request, plan.request.tiled
    assert part is not None
    whole = yield from tiled_upscaling.enlarge(plan.upscaler, plan.sources[0].image, part.width, part.height)
    rows = sd_upscale.grid_of(request)
    tiles: list[Image.Image] = []
    for number, (left, top) in enumerate(place for row in rows for place in row):
        tile = whole.crop((left, top, left + request.width, top + request.height))
        if not stop_flag.requested:
            tile_plan = plan.of_tile(sd_upscale.request_of_tile(request, index, number), tile)
            raw = yield from generate_image(tile_plan, 0, stop_flag)
            tile = raw.on_cpu().image()
        tiles.append(tile)
    return RawOutput(sd_upscale.join(rows, tiles, whole.size, part.overlap))


def _finish(
    units: tuple[PreparedUnit, ...], canvas: Canvas | None, patches: Patches, image: Image.Image
) -> Image.Image:
    image = postprocessing.apply_postprocessing(units, patches.over(image))
    return canvas.finish(image) if canvas else image


def _canvas(plan: Plan, index: int) -> Generator[Operation, Any, Canvas | None]:
    """Return the canvas of an img2img request; None for txt2img."""
    if len(plan.canvases) == 1:
        return plan.canvases[0]
    if plan.canvases:
        return replace(plan.canvases[index])  # a copy, whose cached pixels are freed with this image
    if not plan.sources:
        return None
    source = plan.sources[index if len(plan.sources) > 1 else 0]
    return (yield from compose(plan.request, source, partial(tiled_upscaling.resize, plan.upscaler)))


def _first_pass(
    pass_: Pass, canvas: Canvas | None, index: int, stop_flag: StopFlag
) -> Generator[Operation, Any, Tensor]:
    guidance = yield from pass_.guidance()
    noise = pass_.noise(index)
    latent, latent_mask = None, None
    if canvas is not None:
        latent = yield from _encode_canvas(pass_, canvas)
        if canvas.mask is not None:
            latent_mask = inpainting.latent_mask(canvas, latent, pass_.plain_noise(index))
            latent = latent_mask.original
        if pass_.model.facts.allows("fill"):  # it draws what is outside the mask again
            latent_mask = None
    starts_from_noise = latent_mask is None and instruct.starts_from_noise(pass_.model, pass_.request)
    x = pass_.sampling.start(None if starts_from_noise else latent, noise)
    if latent_mask is not None:
        noised = x / pass_.sampling.start_scale
        latent_mask = latent_mask.with_noise_of(noised, pass_.sampling.noised_to)
    layout = None
    if pass_.request.magic_mix is not None and latent is not None:
        layout = magic_mix.layout(pass_.request.magic_mix, pass_.request, pass_.sampling, latent, x)
    control_schedules = yield from pass_.schedule_controls(index)
    parts = _Parts(canvas, latent, latent_mask, layout, control_schedules, pass_.units_of(index))
    return (yield from _denoise(pass_, guidance, x, noise, stop_flag, parts))


def _second_pass(
    plan: Plan, pass_: Pass, latent: Tensor, index: int, stop_flag: StopFlag
) -> Generator[Operation, Any, Tensor]:
    """Run the hires pass, with new noise from the same seed at the new size."""
    guidance = yield from pass_.guidance()
    width, height = pass_.request.width, pass_.request.height
    assert plan.request.hires is not None
    mode = latent_mode(plan.request.hires.upscaler)
    if mode is not None:
        latent = hires.enlarged_latent(latent, mode, width, height, pass_.sampling.latents.scale)
    else:
        latent = yield from hires.enlarged_image(
            plan.first.model, pass_.model, latent, plan.upscaler, (width, height)
        )
    noise = pass_.noise(index)
    x, control_schedules = pass_.sampling.start(latent, noise), (yield from pass_.schedule_controls(index))
    parts = _Parts(controls=control_schedules, units=pass_.units_of(index))
    return (yield from _denoise(pass_, guidance, x, noise, stop_flag, parts))


def _encode_canvas(pass_: Pass, canvas: Canvas) -> Generator[Operation, Any, Tensor]:
    latent = yield EncodeImage(pass_.model, canvas.pixels)
    if tuple(latent.shape[-2:]) != pass_.sampling.latent_shape[-2:]:  # resize mode "latent"
        mode = latent_mode("Latent")
        assert mode is not None
        _channels, height, width = pass_.sampling.latent_shape
        latent = tiled_upscaling.interpolate(latent, mode, width, height)
    return latent


@dataclass(frozen=True)
class _Parts:
    """What one pass has beside its prompt."""

    canvas: Canvas | None = None
    latent: Tensor | None = None  # of the init image
    latent_mask: LatentMask | None = None
    layout: Layout | None = None
    controls: tuple[ControlSchedule, ...] = ()
    units: tuple[PreparedUnit, ...] = ()


def _denoise(
    pass_: Pass,
    guidance: GuidanceSchedule,
    x: Tensor,
    noise: NoiseStream,
    stop_flag: StopFlag,
    parts: _Parts,
) -> Generator[Operation, Any, Tensor]:
    first = yield from _context(pass_, guidance, parts)
    context: DenoiseContext | RefinerSwitch = first
    if pass_.refiner is not None and pass_.request.refiner is not None:
        refiner_guidance = yield from pass_.refiner.guidance()
        compatible = pass_.refiner.model.is_built_like(pass_.model)
        refiner_parts = parts if compatible else replace(parts, controls=())
        second = yield from _context(pass_.refiner, refiner_guidance, refiner_parts)
        context = RefinerSwitch(first, second, pass_.request.refiner.switch_at)
    latent = yield from run_denoising_loop(pass_.sampling, context, x, noise, stop_flag)
    return latent if parts.latent_mask is None else parts.latent_mask.blend(latent)


def _context(
    pass_: Pass, guidance: GuidanceSchedule, parts: _Parts
) -> Generator[Operation, Any, DenoiseContext]:
    extra = None
    if inpainting.is_inpainting_model(pass_.model):
        size = pass_.request.width, pass_.request.height
        extra = yield from inpainting.conditioning(pass_.model, *size, parts.canvas)
    elif instruct.is_instruct_model(pass_.model):
        extra = yield from instruct.conditioning(pass_.model, parts.canvas, parts.latent)
    elif pass_.model.facts.allows("fill"):
        size = pass_.request.width, pass_.request.height
        extra = yield from inpainting.fill_channels(pass_.model, *size, parts.canvas)
    elif pass_.model.facts.allows("control_image"):
        extra = yield from control_image.channels(pass_.model, parts.units, parts.canvas, parts.latent)
    elif pass_.model.facts.allows("references") and parts.latent is not None:
        extra = yield from instruct.init_image_latent(pass_.model, parts.canvas, parts.latent)
    return DenoiseContext(pass_.model, guidance, parts.latent_mask, extra, parts.controls, parts.layout)
