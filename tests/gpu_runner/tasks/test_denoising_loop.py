"""Configuration of a denoising pass: start of img2img, and the guidance of each call."""

import pytest
import torch

from gpu_runner.networks.conditioning import Conditioning
from gpu_runner.networks.diffusion.guidance import Guidance
from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.schedules.alphas_cumprod import alphas_cumprod
from gpu_runner.protocol.schedules.sigmas import NoiseLevels
from gpu_runner.tasks.denoising_loop import SamplingConfig

LEVELS = NoiseLevels(alphas_cumprod())
POSITIVE, NEGATIVE = (Conditioning(torch.full((77, 4), value)) for value in (1.0, 2.0))
GUIDANCE = Guidance(((POSITIVE, 1.0),), NEGATIVE, 7.0)


def guided_rows(sampler, s_min_uncond, steps):
    """Number of conditionings at each sigma, at odd calls."""
    request = GenerationRequest(sampler=sampler, num_inference_steps=steps, s_min_uncond=s_min_uncond)
    config = SamplingConfig.of(request, LEVELS)
    return [len(config.guided(GUIDANCE, sigma, 1).conditionings) for sigma in config.sigmas if sigma > 0]


def test_s_min_uncond_is_a_sigma_for_samplers_in_sigma_space():
    rows = guided_rows("Euler", 3.0, 20)
    assert rows == sorted(rows, reverse=True)
    assert rows.count(1) > 10


@pytest.mark.parametrize("sampler", ["DDIM", "PLMS"])
def test_s_min_uncond_is_a_timestep_for_samplers_on_own_timesteps(sampler):
    """The last timestep is 1; the one before is 51 of 20 steps, 11 of 100."""
    assert guided_rows(sampler, 3.0, 20)[:-1] == [2] * 19
    assert guided_rows(sampler, 12.0, 100)[-3:] == [2, 1, 1]


def test_s_min_uncond_replaces_the_unguided_estimate_of_cfgpp():
    config = SamplingConfig.of(
        GenerationRequest(sampler="DDIM CFG++", num_inference_steps=100, s_min_uncond=12.0), LEVELS
    )
    low, high = (config.guided(GUIDANCE, sigma, 1) for sigma in LEVELS.sigmas_at([11, 21]))
    assert [text is POSITIVE for text in low.conditionings] == [True, True]
    assert low.returns_unguided
    assert [text is POSITIVE for text in high.conditionings] == [True, False]
    assert high.scale == pytest.approx(7 / 12.5)
