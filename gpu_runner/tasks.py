"""One picture's way from a request to pixels, as a generator: it yields what it needs of the device, and is sent the result."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from gpu_runner import catalogue
from gpu_runner.denoiser import Guidance, Question
from gpu_runner.noise import NoiseStream
from gpu_runner.protocol import GenerationRequest
from gpu_runner.samplers import SAMPLERS, evaluations
from gpu_runner.schedules import NoiseLevels, img2img_part, sigmas_for

if TYPE_CHECKING:
    from gpu_runner.models import LoadedCheckpoint

LATENT_SCALE = 8  # pixels a latent pixel, each way


@dataclass(frozen=True, eq=False)
class TextAsk:
    """Answered with (positive, negative) of the same length."""

    prompts: tuple[str, str]
    clip_skip: int


@dataclass(frozen=True, eq=False)
class EncodeAsk:
    """Answered with the latent of (3, height, width) pixels."""

    pixels: Tensor


@dataclass(frozen=True, eq=False)
class DenoiseAsk:
    """Answered with the denoised estimate."""

    question: Question


@dataclass(frozen=True, eq=False)
class DecodeAsk:
    """Answered with (3, height, width) pixels."""

    latent: Tensor


Ask = TextAsk | EncodeAsk | DenoiseAsk | DecodeAsk
Task = Generator[Ask, Any, Tensor]


class Brake:
    """Pulled from outside, it ends the walk at the next estimate, which then is the picture."""

    pulled = False


@dataclass(frozen=True)
class Plan:
    """What the pictures of one request have in common."""

    request: GenerationRequest
    levels: NoiseLevels
    sigmas: list[float]
    eta: float

    @classmethod
    def of(cls, request: GenerationRequest, levels: NoiseLevels) -> Plan:
        sigmas = sigmas_for(levels, request.sampler, request.scheduler, request.num_inference_steps)
        if request.task == "img2img":
            sigmas = img2img_part(request.sampler, sigmas, request.num_inference_steps, request.strength)
        default = catalogue.sampler(request.sampler).default_eta or 0.0
        return cls(request, levels, sigmas, default if request.eta is None else request.eta)

    @property
    def steps(self) -> int:
        """How often each picture will ask the UNet."""
        return evaluations(self.request.sampler, self.sigmas, self.eta)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        return 4, self.request.height // LATENT_SCALE, self.request.width // LATENT_SCALE

    @property
    def variance_preserving(self) -> bool:
        """The samplers that walk their own timesteps begin and end in the variance-preserving space."""
        return catalogue.sampler(self.request.sampler).ignores_schedule


def draw(plan: Plan, checkpoint: LoadedCheckpoint, index: int, pixels: Tensor | None, brake: Brake) -> Task:
    """``pixels`` is what img2img begins with; txt2img has none."""
    request = plan.request
    positive, negative = yield TextAsk((request.prompt, request.negative_prompt), request.clip_skip)
    guidance = Guidance(positive, negative, request.guidance_scale)
    latent = None if pixels is None else (yield EncodeAsk(pixels))
    noise = NoiseStream(request.seed_of(index), plan.latent_shape, checkpoint.unet.device)
    walked = yield from _walk(plan, _start(plan, latent, noise), guidance, noise, brake)
    return (yield DecodeAsk(walked))


def _start(plan: Plan, latent: Tensor | None, noise: NoiseStream) -> Tensor:
    sigma = plan.sigmas[0]
    if latent is not None:
        return latent + noise.draw() * sigma
    return noise.draw() * ((1 + sigma**2) ** 0.5 if plan.variance_preserving else sigma)


def _walk(
    plan: Plan, x: Tensor, guidance: Guidance, noise: NoiseStream, brake: Brake
) -> Generator[Ask, Tensor, Tensor]:
    sampler = SAMPLERS[plan.request.sampler](x, plan.sigmas, noise, plan.eta)
    denoised: Tensor | None = None
    try:
        while True:
            x, sigma = sampler.send(denoised) if denoised is not None else next(sampler)
            denoised = yield DenoiseAsk(Question(x, sigma, plan.levels.timestep_at(sigma), guidance))
            if brake.pulled:
                return denoised
    except StopIteration as end:
        return end.value / (1 + plan.sigmas[-1] ** 2) ** 0.5 if plan.variance_preserving else end.value
