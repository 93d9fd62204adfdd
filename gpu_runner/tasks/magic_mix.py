"""MagicMix: the content of a prompt in the layout of an image.

Liew et al. 2022, "MagicMix: Semantic Mixing with Diffusion Models". Like the community pipeline of diffusers, the model
sees the mixed latent, and the step with its noise estimate begins at the one before mixing.
"""

from __future__ import annotations

from torch import Tensor

from gpu_runner.protocol.generation_request import GenerationRequest
from gpu_runner.protocol.request_parts.passes import MagicMix
from gpu_runner.protocol.step_count import sigmas_and_noise_of

from .denoising_loop import Layout, SamplingConfig


def layout(
    part: MagicMix, request: GenerationRequest, sampling: SamplingConfig, latent: Tensor, x: Tensor
) -> Layout:
    """The layout of a pass that starts at ``x``, which is the init image's latent with noise."""
    mixed_steps = len(sampling.sigmas) - _content_sigmas(part, request, sampling)
    end = sampling.sigmas[mixed_steps] if mixed_steps > 0 else float("inf")
    start = sampling.noised_to
    noise = (x / sampling.start_scale - latent) / start if start > 0 else latent * 0
    return Layout(latent, noise, part.mix_factor, end)


def _content_sigmas(part: MagicMix, request: GenerationRequest, sampling: SamplingConfig) -> int:
    """Number of sigmas of img2img with strength kmin, whose steps are those without mixing."""
    if part.kmin == 0:
        return 1  # the last one, which no step begins at
    content = request.model_copy(update={"strength": part.kmin})
    return len(sigmas_and_noise_of(content, sampling.levels).sigmas)
