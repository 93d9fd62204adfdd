"""The denoising loop of one image: sampler, conditioning schedule, inpainting mask and control inputs."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from gpu_runner.networks.diffusion.guidance import DenoiseInput, Guidance, GuidedAndUnguided
from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.networks.operations import Denoise, Operation
from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from gpu_runner.protocol.families.family import Latents
from gpu_runner.protocol.families.stable_diffusion import SD15
from gpu_runner.protocol.schedules.sigmas import NoiseLevels
from gpu_runner.protocol.step_count import evaluations, schedule_of, sigmas_and_noise_of
from gpu_runner.samplers import FLOW_SAMPLERS, SAMPLERS, SamplerOptions
from gpu_runner.samplers.noise import NoiseStream

from .control_schedule import ControlSchedule, active_at
from .guidance_schedule import GuidanceSchedule
from .inpainting import LatentMask

Prediction = Tensor | GuidedAndUnguided
CFGPP_SCALE = 12.5  # guidance_scale that corresponds to a CFG++ weight of 1


class StopFlag:
    """Set by another thread; the loop then stops after the current step and returns its x0 estimate."""

    requested = False


@dataclass(frozen=True)
class SamplingConfig:
    """Sampler, sigmas and size in pixels of one denoising pass; shared by all images of a request."""

    sampler: str
    levels: NoiseLevels
    latents: Latents
    sigmas: list[float]
    options: SamplerOptions
    width: int
    height: int
    noised_to: float  # sigma that an init latent is noised to
    noise_multiplier: float = 1.0  # scales the noise added to an init latent
    s_min_uncond: float = 0.0
    sgm_noise_multiplier: bool = False

    @classmethod
    def of(
        cls, request: GenerationRequest, levels: NoiseLevels, latents: Latents = SD15.latents
    ) -> SamplingConfig:
        levels = levels.of_sampler(request.sampler)
        sigmas, noised_to = sigmas_and_noise_of(request, levels)
        return cls(
            sampler=request.sampler,
            levels=levels,
            latents=latents,
            sigmas=sigmas,
            noised_to=noised_to,
            options=SamplerOptions.of(request, schedule_of(request, levels)),
            width=request.width,
            height=request.height,
            noise_multiplier=request.initial_noise_multiplier,
            s_min_uncond=request.s_min_uncond,
            sgm_noise_multiplier=request.sgm_noise_multiplier,
        )

    @cached_property
    def steps(self) -> int:
        """UNet calls per image; an estimate for adaptive samplers."""
        return evaluations(self.sampler, self.sigmas, self.options.eta)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        return self.latents.shape(self.width, self.height)

    @property
    def variance_preserving(self) -> bool:
        """Whether x starts and ends in the variance-preserving space (samplers with own timesteps)."""
        return sampler_catalog.sampler(self.sampler).variance_preserving and not self.levels.is_flow

    def start(self, latent: Tensor | None, noise: NoiseStream) -> Tensor:
        """Return the initial x: the noised latent, or pure noise if ``latent`` is None."""
        if self.levels.is_flow:
            sigma = self.noised_to
            noised = noise.draw() * sigma
            return noised if latent is None else latent * (1 - sigma) + noised * self.noise_multiplier
        if latent is not None:
            return (latent + noise.draw() * (self.noised_to * self.noise_multiplier)) * self.start_scale
        sigma = self.sigmas[0]
        widened = self.variance_preserving or self.sgm_noise_multiplier
        return noise.draw() * ((1 + sigma**2) ** 0.5 if widened else sigma)

    @property
    def start_scale(self) -> float:
        """Factor of a noised init latent, for samplers that start at another sigma than the latent is noised to.

        They take over its variance-preserving form, x / sqrt(1 + sigma**2).
        """
        return ((1 + self.sigmas[0] ** 2) / (1 + self.noised_to**2)) ** 0.5

    def guided(self, guidance: Guidance, sigma: float, call: int) -> Guidance:
        """Adapt the guidance to the sampler and call.

        CFG++ samplers get separate guidance. Below s_min_uncond, odd calls skip the negative conditioning. As in A1111,
        s_min_uncond is compared with the timestep for samplers with own timesteps.
        """
        level = self.levels.timestep_at(sigma) if self.variance_preserving else sigma
        guided_apart = sampler_catalog.sampler(self.sampler).guided_apart
        if call % 2 and level < self.s_min_uncond:
            guidance = guidance.without_negative()
            return guidance.with_unguided(guidance.scale) if guided_apart else guidance
        return guidance.with_unguided(guidance.scale / CFGPP_SCALE) if guided_apart else guidance


@dataclass(frozen=True, eq=False)
class Layout:
    """The init image whose layout the first steps take over (MagicMix)."""

    latent: Tensor  # (4, h, w)
    noise: Tensor  # (4, h, w); initial noise of the pass divided by its sigma
    mix_factor: float  # share of x; the rest is the noised init image
    until: float  # sigma from which on nothing is mixed

    def mixed(self, x: Tensor, sigma: float) -> Tensor:
        if sigma <= self.until:
            return x
        return x * self.mix_factor + (self.latent + self.noise * sigma) * (1 - self.mix_factor)


@dataclass(frozen=True)
class DenoiseContext:
    """UNet and its conditioning per call (0-based)."""

    model: LoadedCheckpoint
    guidance: GuidanceSchedule
    latent_mask: LatentMask | None = None
    extra: Tensor | None = None  # additional input channels of inpainting and InstructPix2Pix checkpoints
    control_schedules: tuple[ControlSchedule, ...] = ()
    layout: Layout | None = None
    references: tuple[Tensor, ...] = ()  # latents of the reference images

    def operation(self, sampling: SamplingConfig, x: Tensor, sigma: float, call: int) -> Denoise:
        """Build the Denoise operation of one call.

        For variance-preserving samplers the inpainting mask is applied to x, otherwise to the x0 estimate.
        """
        if self.latent_mask is not None and sampling.variance_preserving:
            x = self.latent_mask.blend_noisy(x, sigma)
        if self.layout is not None:
            x = self.layout.mixed(x, sigma)
        timestep = sampling.levels.timestep_at(sigma)
        guidance = sampling.guided(self.guidance.at(call), sigma, call)
        active_controls = active_at(self.control_schedules, min(call, sampling.steps - 1) / sampling.steps)
        inputs = DenoiseInput(
            x, sigma, timestep, guidance, self.extra, *active_controls, references=self.references
        )
        return Denoise(self.model, inputs)

    def estimate(
        self, sampling: SamplingConfig, x: Tensor, sigma: float, prediction: Prediction
    ) -> Prediction:
        """The x0 estimate for the sampler, from the prediction of ``operation``.

        The inpainting mask is applied if the sampler is not variance-preserving. A mixed layout is taken out again: the
        estimate is that of ``x`` with the noise that was predicted for the mix.
        """
        if self.layout is not None:
            return _moved(prediction, x - self.layout.mixed(x, sigma))
        if (
            self.latent_mask is None
            or isinstance(prediction, GuidedAndUnguided)
            or sampling.variance_preserving
        ):
            return prediction
        return self.latent_mask.blend(prediction)


def _moved(prediction: Prediction, difference: Tensor) -> Prediction:
    if isinstance(prediction, GuidedAndUnguided):
        return GuidedAndUnguided(prediction.denoised + difference, prediction.unguided + difference)
    return prediction + difference


def run_denoising_loop(
    sampling: SamplingConfig,
    context: DenoiseContext | RefinerSwitch,
    x: Tensor,
    noise: NoiseStream,
    stop_flag: StopFlag,
) -> Generator[Operation, Any, Tensor]:
    """Run the sampler; yields Denoise operations and returns the final latent (4, h, w)."""
    samplers = FLOW_SAMPLERS if sampling.levels.is_flow else SAMPLERS
    sampler = samplers[sampling.sampler](x, sampling.sigmas, noise, sampling.options)
    prediction: Prediction | None = None
    call = 0
    try:
        while True:
            x, sigma = sampler.send(prediction) if prediction is not None else next(sampler)
            predicted = yield context.operation(sampling, x, sigma, call)
            prediction = context.estimate(sampling, x, sigma, predicted)
            call += 1
            if stop_flag.requested:
                return prediction.denoised if isinstance(prediction, GuidedAndUnguided) else prediction
    except StopIteration as end:
        return (
            end.value / (1 + sampling.sigmas[-1] ** 2) ** 0.5 if sampling.variance_preserving else end.value
        )


TRAINING_STEPS = 1000


class RefinerSwitch:
    """Uses the base model until ``switch_at`` (fraction of training timesteps), then the refiner.

    A1111 1.10 and later also switch by timestep, not by call. The switch is final, even with samplers that
    return to a higher noise level.
    """

    def __init__(self, first: DenoiseContext, second: DenoiseContext, switch_at: float) -> None:
        self._active = first
        self._second = second
        self._switch_at = switch_at

    def operation(self, sampling: SamplingConfig, x: Tensor, sigma: float, call: int) -> Denoise:
        last = TRAINING_STEPS - 1
        if (last - sampling.levels.timestep_at(sigma)) / TRAINING_STEPS >= self._switch_at:
            self._active = self._second
        return self._active.operation(sampling, x, sigma, call)

    def estimate(
        self, sampling: SamplingConfig, x: Tensor, sigma: float, prediction: Prediction
    ) -> Prediction:
        return self._active.estimate(sampling, x, sigma, prediction)
