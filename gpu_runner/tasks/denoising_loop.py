"""One walk of a sampler from a noisy latent to a clean one, and what the model is told on the way."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from gpu_runner.networks.diffusion.guidance import DenoiseInput, Guidance, GuidedAndUnguided
from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.networks.operations import Denoise, Operation
from gpu_runner.protocol import GenerationRequest, sampler_catalog
from gpu_runner.protocol.schedules.sigmas import NoiseLevels
from gpu_runner.protocol.step_count import evaluations, schedule_of, sigmas_of
from gpu_runner.samplers import SAMPLERS, SamplerOptions
from gpu_runner.samplers.noise import LATENT_SCALE, NoiseStream

from .control_schedule import ControlSchedule, acting_at
from .guidance_schedule import GuidanceSchedule
from .inpainting import LatentMask

Answer = Tensor | GuidedAndUnguided
CFGPP_SHARE = 12.5  # the scale at which CFG++ is guided by all of the text


class StopFlag:
    """Pulled from outside, it ends the walk at the next estimate, which then is the picture."""

    pulled = False


@dataclass(frozen=True)
class SamplingConfig:
    """Sampler, sigmas and size of one walk: what all pictures of a request have in common."""

    sampler: str
    levels: NoiseLevels
    sigmas: list[float]
    options: SamplerOptions
    width: int
    height: int
    noise_multiplier: float = 1.0  # of what is laid over a latent
    s_min_uncond: float = 0.0
    sgm_noise_multiplier: bool = False

    @classmethod
    def of(cls, request: GenerationRequest, levels: NoiseLevels) -> SamplingConfig:
        levels = levels.of_sampler(request.sampler)
        return cls(
            sampler=request.sampler,
            levels=levels,
            sigmas=sigmas_of(request, levels),
            options=SamplerOptions.of(request, schedule_of(request, levels)),
            width=request.width,
            height=request.height,
            noise_multiplier=request.initial_noise_multiplier,
            s_min_uncond=request.s_min_uncond,
            sgm_noise_multiplier=request.sgm_noise_multiplier,
        )

    @cached_property
    def steps(self) -> int:
        """How often each picture will ask the UNet; what is usual where the sampler finds out on the way."""
        return evaluations(self.sampler, self.sigmas, self.options.eta)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        return 4, self.height // LATENT_SCALE, self.width // LATENT_SCALE

    @property
    def variance_preserving(self) -> bool:
        """The samplers that walk their own timesteps begin and end in the variance-preserving space."""
        return sampler_catalog.sampler(self.sampler).variance_preserving

    def start(self, latent: Tensor | None, noise: NoiseStream) -> Tensor:
        """The first x: the latent under noise, or noise alone."""
        sigma = self.sigmas[0]
        if latent is not None:
            return latent + noise.draw() * (sigma * self.noise_multiplier)
        widened = self.variance_preserving or self.sgm_noise_multiplier
        return noise.draw() * ((1 + sigma**2) ** 0.5 if widened else sigma)

    def guided(self, guidance: Guidance, sigma: float, call: int) -> Guidance:
        """As this sampler is guided at this call."""
        if sampler_catalog.sampler(self.sampler).guided_apart:
            return guidance.apart_at(guidance.scale / CFGPP_SHARE)
        if call % 2 and sigma < self.s_min_uncond:
            return guidance.unopposed()
        return guidance


@dataclass(frozen=True)
class DenoiseContext:
    """Who estimates, and what it is told at each call, counted from 0."""

    model: LoadedCheckpoint
    direction: GuidanceSchedule
    keeping: LatentMask | None = None
    extra: Tensor | None = None  # what checkpoints made for inpainting are shown beside x
    steerings: tuple[ControlSchedule, ...] = ()

    def ask(self, way: SamplingConfig, x: Tensor, sigma: float, call: int) -> Denoise:
        """Samplers that walk their own timesteps see the original in the question, the others in the answer."""
        if self.keeping is not None and way.variance_preserving:
            x = self.keeping.blend_noisy(x, sigma)
        timestep = way.levels.timestep_at(sigma)
        guidance = way.guided(self.direction.at(call), sigma, call)
        acting = acting_at(self.steerings, min(call, way.steps - 1) / way.steps)
        return Denoise(self.model, DenoiseInput(x, sigma, timestep, guidance, self.extra, *acting))

    def settled(self, way: SamplingConfig, answer: Answer) -> Answer:
        """What the sampler is told of the answer."""
        if self.keeping is None or isinstance(answer, GuidedAndUnguided) or way.variance_preserving:
            return answer
        return self.keeping.blend(answer)


def run_denoising_loop(
    way: SamplingConfig,
    script: DenoiseContext | RefinerSwitch,
    x: Tensor,
    noise: NoiseStream,
    brake: StopFlag,
) -> Generator[Operation, Any, Tensor]:
    sampler = SAMPLERS[way.sampler](x, way.sigmas, noise, way.options)
    answer: Answer | None = None
    call = 0
    try:
        while True:
            x, sigma = sampler.send(answer) if answer is not None else next(sampler)
            answer = script.settled(way, (yield script.ask(way, x, sigma, call)))
            call += 1
            if brake.pulled:
                return answer.denoised if isinstance(answer, GuidedAndUnguided) else answer
    except StopIteration as end:
        return end.value / (1 + way.sigmas[-1] ** 2) ** 0.5 if way.variance_preserving else end.value


TRAINING_STEPS = 1000


class RefinerSwitch:
    """The first script's words until ``switch_at`` of the training steps lie behind, then the second's.

    A1111 counts so since 1.10: by how noisy the picture still is, not by calls. What has taken over stays, even with
    samplers that go back to more noise.
    """

    def __init__(self, first: DenoiseContext, second: DenoiseContext, switch_at: float) -> None:
        self._speaking = first
        self._second = second
        self._switch_at = switch_at

    def ask(self, way: SamplingConfig, x: Tensor, sigma: float, call: int) -> Denoise:
        last = TRAINING_STEPS - 1
        if (last - way.levels.timestep_at(sigma)) / TRAINING_STEPS >= self._switch_at:
            self._speaking = self._second
        return self._speaking.ask(way, x, sigma, call)

    def settled(self, way: SamplingConfig, answer: Answer) -> Answer:
        return self._speaking.settled(way, answer)
