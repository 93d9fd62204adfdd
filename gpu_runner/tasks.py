"""One picture's way from a request to pixels, as a generator: it yields what it needs of the device, and is sent the result."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from PIL import Image
from torch import Tensor

from gpu_runner import catalogue, control_finishing, hires, images, inpainting, upscaling
from gpu_runner.asks import Aside, Ask, DecodeAsk, EncodeAsk
from gpu_runner.canvas import Canvas, Source, compose
from gpu_runner.conditioning import Wording
from gpu_runner.controls import Controls, Unit, Units
from gpu_runner.direction import Direction, directed, wording_of
from gpu_runner.face_restoration import Patches, Restoration
from gpu_runner.inpainting import Keeping
from gpu_runner.noise import NoiseStream
from gpu_runner.passes import second_request
from gpu_runner.protocol import GenerationRequest
from gpu_runner.refining import Handover
from gpu_runner.schedules import NoiseLevels
from gpu_runner.steering import Steering, steer
from gpu_runner.upscalers import LANCZOS, latent_mode
from gpu_runner.walking import LATENT_SCALE, Brake, Script, Way, walk
from gpu_runner.words import Words

if TYPE_CHECKING:
    from gpu_runner.model_sets import Models
    from gpu_runner.models import LoadedCheckpoint
    from gpu_runner.upscaler_loading import LoadedUpscaler


def _as_it_is(picture: Image.Image) -> Image.Image:
    return picture


@dataclass(frozen=True, eq=False)
class Drawn:
    """Pixels as the device left them, and what is still to be done to them, beside the engine's thread."""

    pixels: Tensor | Image.Image
    finish: Callable[[Image.Image], Image.Image] = _as_it_is

    def off_the_device(self) -> Drawn:
        return replace(self, pixels=self.pixels.cpu()) if isinstance(self.pixels, Tensor) else self

    def picture(self) -> Image.Image:
        pixels = self.pixels
        return self.finish(images.from_tensor(pixels) if isinstance(pixels, Tensor) else pixels)


Task = Generator[Ask | Aside, Any, Drawn]


@dataclass(frozen=True)
class Pass:
    """One walk: its request says in whose words, its model estimates."""

    request: GenerationRequest
    model: LoadedCheckpoint
    way: Way
    words: Words
    wording: Wording
    refiner: Pass | None = None  # which takes over on the way
    units: Units = ((),)

    @classmethod
    def of(cls, request: GenerationRequest, model: LoadedCheckpoint, before: Pass | None = None) -> Pass:
        way = Way.of(request, NoiseLevels(model.alphas_cumprod, is_sdxl=model.is_sdxl))
        earlier = _calls(before.request) if before else None
        words = Words.of(request.prompt, request.negative_prompt, _calls(request), first_pass=earlier)
        return cls(request, model, way, words, wording_of(request, model))

    def refined_by(self, model: LoadedCheckpoint | None) -> Pass:
        if model is None:
            return self
        return replace(self, refiner=replace(self, model=model, wording=wording_of(self.request, model)))

    def direction(self) -> Generator[Ask, Any, Direction]:
        return (yield from directed(self.model, self.words, self.wording, self.request.guidance_scale))

    def units_of(self, index: int) -> tuple[Unit, ...]:
        return self.units[index if len(self.units) > 1 else 0]

    def steer(self, index: int) -> Generator[Ask, Any, tuple[Steering, ...]]:
        return (yield from steer(self.units_of(index), self.model, self.request.seed_of(index)))

    def noise(self, index: int) -> NoiseStream:
        return NoiseStream.of(self.request, index, self.way.latent_shape, self.model.device)


def _calls(request: GenerationRequest) -> int:
    return catalogue.sampler(request.sampler).nominal_calls(request.num_inference_steps)


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
        wanted = second_request(request, request.hires)
        second = Pass.of(wanted, models.hires or models.checkpoint, first)
        return cls(request, first, second.refined_by(models.refiner), upscaler)

    @property
    def checkpoint(self) -> LoadedCheckpoint:
        return self.first.model

    @property
    def steps(self) -> int:
        """How often each picture will ask a UNet."""
        return self.first.way.steps + (self.second.way.steps if self.second else 0)

    def controlled_by(self, controls: Controls) -> Plan:
        second = replace(self.second, units=controls.second) if self.second else None
        return replace(self, first=replace(self.first, units=controls.first), second=second)

    def begin(self, index: int, brake: Brake) -> Task:
        return draw(self, index, brake)


def draw(plan: Plan, index: int, brake: Brake) -> Task:
    canvas = yield from _canvas(plan, index)
    latent = yield from _first_pass(plan.first, canvas, index, brake)
    last = plan.first
    if plan.second is not None and not brake.pulled:
        latent = yield from _second_pass(plan, plan.second, latent, index, brake)
        last = plan.second
    pixels = yield DecodeAsk((last.refiner or last).model, latent)
    if plan.faces is None:
        return Drawn(pixels, partial(_finish, last.units_of(index), canvas, Patches()))
    picture = images.from_tensor(pixels)
    patches = yield from plan.faces.patches(picture)
    return Drawn(picture, partial(_finish, last.units_of(index), canvas, patches))


def _finish(
    units: tuple[Unit, ...], canvas: Canvas | None, patches: Patches, drawn: Image.Image
) -> Image.Image:
    drawn = control_finishing.finished(units, patches.over(drawn))
    return canvas.finish(drawn) if canvas else drawn


def _canvas(plan: Plan, index: int) -> Generator[Ask, Any, Canvas | None]:
    """What img2img begins with; txt2img has none."""
    if len(plan.canvases) == 1:
        return plan.canvases[0]
    if plan.canvases:
        return replace(plan.canvases[index])  # whose pixels are forgotten with this picture
    if not plan.sources:
        return None
    source = plan.sources[index if len(plan.sources) > 1 else 0]
    return (yield from compose(plan.request, source, partial(upscaling.resize, plan.upscaler)))


def _first_pass(walked: Pass, canvas: Canvas | None, index: int, brake: Brake) -> Generator[Ask, Any, Tensor]:
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
    steerings = yield from walked.steer(index)
    return (yield from _walk(walked, direction, x, noise, brake, canvas, keeping, steerings))


def _second_pass(
    plan: Plan, walked: Pass, latent: Tensor, index: int, brake: Brake
) -> Generator[Ask, Any, Tensor]:
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
    x, steerings = walked.way.start(latent, noise), (yield from walked.steer(index))
    return (yield from _walk(walked, direction, x, noise, brake, steerings=steerings))


def _encoded(walked: Pass, canvas: Canvas) -> Generator[Ask, Any, Tensor]:
    latent = yield EncodeAsk(walked.model, canvas.pixels)
    if tuple(latent.shape[-2:]) != walked.way.latent_shape[-2:]:  # resize mode "latent"
        width, height = walked.request.width, walked.request.height
        mode = latent_mode("Latent")
        assert mode is not None
        latent = upscaling.interpolate(latent, mode, width // LATENT_SCALE, height // LATENT_SCALE)
    return latent


def _walk(
    walked: Pass,
    direction: Direction,
    x: Tensor,
    noise: NoiseStream,
    brake: Brake,
    canvas: Canvas | None = None,
    keeping: Keeping | None = None,
    steerings: tuple[Steering, ...] = (),
) -> Generator[Ask, Any, Tensor]:
    first = yield from _script(walked, direction, canvas, keeping, steerings)
    script: Script | Handover = first
    if walked.refiner is not None and walked.request.refiner is not None:
        words = yield from walked.refiner.direction()
        alike = walked.refiner.model.is_built_like(walked.model)
        second = yield from _script(walked.refiner, words, canvas, keeping, steerings if alike else ())
        script = Handover(first, second, walked.request.refiner.switch_at)
    latent = yield from walk(walked.way, script, x, noise, brake)
    return latent if keeping is None else keeping.blend(latent)


def _script(
    walked: Pass,
    direction: Direction,
    canvas: Canvas | None,
    keeping: Keeping | None,
    steerings: tuple[Steering, ...],
) -> Generator[Ask, Any, Script]:
    extra = None
    if inpainting.is_made_for_inpainting(walked.model):
        size = walked.request.width, walked.request.height
        extra = yield from inpainting.conditioning(walked.model, *size, canvas)
    return Script(walked.model, direction, keeping, extra, steerings)
