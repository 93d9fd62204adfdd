"""Sigma schedules: compared with diffusers where it has the same schedule, with known values elsewhere."""

import itertools

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler
from diffusers.schedulers import AysSchedules

from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from gpu_runner.protocol.generation_request import GenerationRequest
from gpu_runner.protocol.request_parts.values import InputImage
from gpu_runner.protocol.schedules.alphas_cumprod import alphas_cumprod, with_zero_terminal_snr
from gpu_runner.protocol.schedules.sigmas import SCHEDULES, NoiseLevels, sigmas_for
from gpu_runner.protocol.step_count import sigmas_and_noise_of

LDM = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


@pytest.fixture(scope="module")
def levels():
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return NoiseLevels(torch.cumprod(1 - betas, 0))


def diffusers_sigmas(scheduler, steps):
    scheduler.set_timesteps(steps)
    return scheduler.sigmas.tolist()


def test_noise_levels_have_the_range_of_stable_diffusion(levels):
    assert levels.high == pytest.approx(14.6146, abs=1e-4)
    assert levels.low == pytest.approx(0.02917, abs=1e-5)


def test_timestep_at_is_the_inverse_of_sigmas_at(levels):
    [sigma] = levels.sigmas_at([123.4])
    assert levels.timestep_at(sigma) == pytest.approx(123.4)


def test_uniform_equals_diffusers_linspace_spacing(levels):
    expected = diffusers_sigmas(EulerDiscreteScheduler(**LDM, timestep_spacing="linspace"), 28)
    assert SCHEDULES["Uniform"](levels, 28) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("label", "option"),
    [("Karras", "use_karras_sigmas"), ("Exponential", "use_exponential_sigmas")],
)
def test_karras_and_exponential_equal_diffusers(levels, label, option):
    scheduler = DPMSolverMultistepScheduler(**LDM, final_sigmas_type="zero", **{option: True})
    assert SCHEDULES[label](levels, 20) == pytest.approx(diffusers_sigmas(scheduler, 20), rel=1e-3)


@pytest.mark.parametrize("label", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 20, 500])
def test_every_schedule_decreases_from_sigma_max(levels, label, steps):
    sigmas = SCHEDULES[label](levels, steps)
    assert all(sigma > sigma_next for sigma, sigma_next in itertools.pairwise(sigmas))
    assert sigmas[0] <= levels.high * 1.001
    assert sigmas[-1] == pytest.approx(levels.low if label == "KL Optimal" else 0)
    if label != "DDIM":
        assert len(sigmas) == steps + 1


def test_beta_schedule_has_quantiles_of_the_beta_distribution(levels):
    """Quantiles of Beta(0.6, 0.6) at 3/4, 1/2 and 1/4, known by symmetry and by the median."""
    high, *middle, low, zero = SCHEDULES["Beta"](levels, 5)
    quantiles = [(sigma - levels.low) / (levels.high - levels.low) for sigma in middle]
    assert (high, low, zero) == pytest.approx((levels.high, levels.low, 0))
    assert quantiles[1] == pytest.approx(0.5, abs=1e-6)
    assert quantiles[0] + quantiles[2] == pytest.approx(1, abs=1e-6)
    assert 0.8 < quantiles[0] < 0.9


def test_ddim_uses_a1111_timesteps_without_a_final_zero(levels):
    sigmas = sigmas_for(levels, "DDIM", sampler_catalog.AUTOMATIC, 20)
    assert [round(levels.timestep_at(sigma)) for sigma in sigmas] == list(range(951, 0, -50))


def test_ddim_with_one_step_spans_the_whole_range(levels):
    assert len(sigmas_for(levels, "DDIM", sampler_catalog.AUTOMATIC, 1)) == 2


def test_dpm2_drops_the_last_nonzero_sigma(levels):
    longer = SCHEDULES["Karras"](levels, 21)
    assert sigmas_for(levels, "DPM2", sampler_catalog.AUTOMATIC, 20) == [*longer[:20], 0]


@pytest.mark.parametrize(
    ("sampler", "strength", "updates"),
    [
        ("Euler", 0.75, 16),
        ("Euler", 1.0, 20),
        ("Euler", 0.0, 1),
        ("DDIM", 0.75, 14),
        ("DDIM", 0.0, 0),
        ("UniPC", 0.75, 15),
    ],
)
def test_img2img_runs_as_many_steps_as_in_a1111(levels, sampler, strength, updates):
    assert len(img2img(levels, sampler=sampler, strength=strength).sigmas) - 1 == updates


def img2img(levels, **fields):
    init = (InputImage(sha256="0" * 64),)
    request = GenerationRequest(task="img2img", init_images=init, num_inference_steps=20, **fields)
    return sigmas_and_noise_of(request, levels)


def test_img2img_runs_the_end_of_the_schedule_from_the_level_of_the_noised_latent(levels):
    sigmas, noised_to = img2img(levels, sampler="Euler", strength=0.75)
    assert sigmas == sigmas_for(levels, "Euler", sampler_catalog.AUTOMATIC, 20)[-17:]
    assert noised_to == sigmas[0]


@pytest.mark.parametrize("sampler", ["DDIM", "DDIM CFG++", "PLMS", "UniPC"])
@pytest.mark.parametrize(
    ("options", "first", "noised_to"),
    [
        ({}, 701, 751),
        ({"discard_penultimate": True}, 659, 706),
        ({"exact_steps": True}, 685, 723),
        ({"strength": 0.05}, 51, 51),
        ({"strength": 0.0}, 1, 1),
        ({"strength": 1.0}, 901, 951),
    ],
)
def test_img2img_on_own_timesteps_starts_one_timestep_below_the_noised_latent(
    levels, sampler, options, first, noised_to
):
    sigmas, noise = img2img(levels, sampler=sampler, **{"strength": 0.75} | options)
    assert [round(levels.timestep_at(sigma)) for sigma in (sigmas[0], noise)] == [first, noised_to]


@pytest.mark.parametrize("name", ["DPM fast", "DPM adaptive"])
@pytest.mark.parametrize("is_img2img", [False, True])
def test_the_schedule_of_one_step_of_dpm_fast_and_adaptive_has_both_ends(levels, name, is_img2img):
    sigmas = sigmas_for(levels, name, sampler_catalog.AUTOMATIC, 1, is_img2img=is_img2img)
    assert sigmas == pytest.approx([levels.high, levels.low])


@pytest.mark.parametrize("name", ["DPM fast", "DPM adaptive"])
def test_dpm_fast_and_adaptive_use_the_schedule_in_img2img_only(levels, name):
    assert (
        img2img(levels, sampler=name, scheduler="Karras", strength=0.75).sigmas
        == (SCHEDULES["Karras"](levels, 20)[4:])
    )
    whole = sigmas_for(levels, name, "Karras", 20)
    assert whole == SCHEDULES["Uniform"](levels, 20)


@pytest.mark.parametrize(("steps", "count"), [(20, 20), (30, 31), (28, 29), (12, 13), (3, 4), (1, 1)])
def test_unipc_has_the_step_count_of_a1111(levels, steps, count):
    sigmas = sigmas_for(levels, "UniPC", sampler_catalog.AUTOMATIC, steps)
    assert len(sigmas) == count + 1
    assert (sigmas[0], sigmas[-1]) == pytest.approx((levels.high, levels.low))


def test_align_your_steps_tables_equal_diffusers_for_sd15_and_sdxl():
    alphas = alphas_cumprod()
    for is_sdxl, key in ((False, "StableDiffusionSigmas"), (True, "StableDiffusionXLSigmas")):
        found = SCHEDULES["Align Your Steps"](NoiseLevels(alphas, is_sdxl=is_sdxl), 11)
        assert found[:10] == pytest.approx(AysSchedules[key][:10])


def test_zero_terminal_snr_equals_diffusers_except_for_the_last_level():
    reference = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", rescale_betas_zero_snr=True
    )
    alphas = with_zero_terminal_snr(alphas_cumprod())
    assert np.allclose(alphas[:-1], reference.alphas_cumprod[:-1].double(), rtol=2e-3, atol=1e-7)
    levels = NoiseLevels(alphas)
    assert levels.high == pytest.approx(4518.8, rel=1e-3), "A1111's first sigma"
    assert levels.low == pytest.approx(NoiseLevels(alphas_cumprod()).low)
