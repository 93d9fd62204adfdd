"""Samplers, against diffusers' schedulers on the same noise and against models with a known exact solution."""

import math
from itertools import pairwise

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    KDPM2DiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    UniPCMultistepScheduler,
)

from gpu_runner.networks.diffusion.guidance import GuidedAndUnguided
from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from gpu_runner.protocol.request_parts.sampling import UniPC
from gpu_runner.protocol.schedules.ancestral import ancestral_step
from gpu_runner.protocol.schedules.restart import restart_steps
from gpu_runner.protocol.schedules.sigmas import NoiseLevels, sigmas_for
from gpu_runner.protocol.step_count import evaluations
from gpu_runner.samplers import SAMPLERS, SamplerOptions
from gpu_runner.samplers.noise import NoiseStream

pytestmark = pytest.mark.slow

LDM = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
SHAPE = (4, 8, 8)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def levels():
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return NoiseLevels(torch.cumprod(1 - betas, 0))


def toy_noise(x):
    """Noise predicted by the toy model for a variance-preserving latent: smooth and nonlinear."""
    return torch.tanh(1.5 * x) + 0.1 * x.roll(1, -1)


def toy_denoised(x, sigma):
    return x - sigma * toy_noise(x / math.sqrt(1 + sigma**2))


def sample(name, x, sigmas, denoise=toy_denoised, eta=None, noise=None, **options):
    default = sampler_catalog.sampler(name).default_eta or 0.0
    options = SamplerOptions(eta=default if eta is None else eta, **options)
    sampler = SAMPLERS[name](x, sigmas, noise or NoiseStream(1, x.shape, CPU), options)
    denoised, evaluated = None, 0
    try:
        while True:
            x, sigma = sampler.send(denoised) if evaluated else next(sampler)
            denoised, evaluated = denoise(x, sigma), evaluated + 1
            if sampler_catalog.sampler(name).guided_apart:
                denoised = GuidedAndUnguided(denoised, denoised)
    except StopIteration as end:
        return end.value, evaluated


def diffusers_sample(scheduler, steps, noise, **options):
    scheduler.set_timesteps(steps)
    x = noise * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        x = scheduler.step(
            toy_noise(scheduler.scale_model_input(x, timestep)), timestep, x, **options
        ).prev_sample
    return x


def start(noise, sigma):
    """Initial latent in sigma space for diffusers' variance-preserving initial noise."""
    return noise * math.sqrt(1 + sigma**2)


@pytest.mark.parametrize(
    ("name", "scheduler"),
    [
        ("Euler", EulerDiscreteScheduler),
        ("Heun", HeunDiscreteScheduler),
    ],
)
def test_agrees_with_diffusers_in_sigma_space(levels, name, scheduler):
    noise, steps = torch.randn(SHAPE), 28
    reference = scheduler(**LDM, timestep_spacing="linspace")
    expected = diffusers_sample(reference, steps, noise)
    x = noise * float(reference.init_noise_sigma)
    result, _ = sample(name, x, sigmas_for(levels, name, "Uniform", steps))
    torch.testing.assert_close(result, expected, atol=1e-3, rtol=1e-3)


def test_dpm2_agrees_with_diffusers(levels):
    noise, steps = torch.randn(SHAPE), 20
    reference = KDPM2DiscreteScheduler(**LDM, use_karras_sigmas=True)
    expected = diffusers_sample(reference, steps, noise)
    sigmas = [*reference.sigmas[::2].tolist()]
    result, _ = sample("DPM2", noise * float(reference.init_noise_sigma), sigmas)
    torch.testing.assert_close(result, expected, atol=1e-3, rtol=1e-3)


def test_euler_a_agrees_with_diffusers_on_the_same_noise(levels):
    steps = 28
    reference = EulerAncestralDiscreteScheduler(**LDM, timestep_spacing="linspace")
    generator, stream = torch.Generator().manual_seed(5), NoiseStream(5, SHAPE, CPU)
    noise = torch.randn((1, *SHAPE), generator=generator)
    expected = diffusers_sample(reference, steps, noise, generator=generator)
    x = stream.draw() * float(reference.init_noise_sigma)
    result, _ = sample("Euler a", x, sigmas_for(levels, "Euler a", "Uniform", steps), noise=stream)
    torch.testing.assert_close(result, expected[0], atol=1e-3, rtol=1e-3)


def test_dpmpp_2m_agrees_with_diffusers(levels):
    noise, steps = torch.randn(SHAPE), 20
    reference = DPMSolverMultistepScheduler(**LDM, use_karras_sigmas=True, final_sigmas_type="zero")
    expected = diffusers_sample(reference, steps, noise)
    sigmas = sigmas_for(levels, "DPM++ 2M", "Automatic", steps)
    result, _ = sample("DPM++ 2M", start(noise, sigmas[0]), sigmas)
    torch.testing.assert_close(result, expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_ddim_agrees_with_diffusers_up_to_its_last_update(levels, eta):
    """diffusers does one more update than A1111, to the first training level; the reference stops before it."""
    steps = 20
    reference = DDIMScheduler(
        **LDM, timestep_spacing="leading", steps_offset=1, set_alpha_to_one=False, clip_sample=False
    )
    reference.set_timesteps(steps)
    generator, stream = torch.Generator().manual_seed(5), NoiseStream(5, SHAPE, CPU)
    expected = torch.randn((1, *SHAPE), generator=generator)
    for timestep in reference.timesteps[:-1]:
        estimate = toy_noise(expected)
        expected = reference.step(estimate, timestep, expected, eta=eta, generator=generator).prev_sample
    sigmas = sigmas_for(levels, "DDIM", "Automatic", steps)
    result, _ = sample("DDIM", start(stream.draw(), sigmas[0]), sigmas, eta=eta, noise=stream)
    torch.testing.assert_close(result / math.sqrt(1 + sigmas[-1] ** 2), expected[0], atol=1e-3, rtol=1e-3)


def test_unipc_agrees_with_diffusers(levels):
    noise, steps = torch.randn(SHAPE), 25
    reference = UniPCMultistepScheduler(
        **LDM, solver_order=3, solver_type="bh1", timestep_spacing="linspace", final_sigmas_type="sigma_min"
    )
    expected = diffusers_sample(reference, steps, noise[None])[0]
    sigmas = sigmas_for(levels, "UniPC", "Automatic", steps)
    result, _ = sample("UniPC", start(noise, sigmas[0]), sigmas)
    torch.testing.assert_close(result / math.sqrt(1 + sigmas[-1] ** 2), expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(("name", "solver"), [("DPM++ 2M SDE", "midpoint"), ("DPM++ 2M SDE Heun", "heun")])
def test_multistep_sde_samplers_agree_with_diffusers_on_the_same_noise(levels, name, solver):
    """diffusers draws the noise of each step from a generator; here it is given that of the Brownian path."""
    steps, start_noise = 20, torch.randn(SHAPE)
    reference = DPMSolverMultistepScheduler(
        **LDM,
        algorithm_type="sde-dpmsolver++",
        solver_type=solver,
        use_karras_sigmas=True,
        final_sigmas_type="zero",
    )
    reference.set_timesteps(steps)
    sigmas = [float(sigma) for sigma in reference.sigmas]
    path = NoiseStream(5, SHAPE, CPU).brownian(sigmas)
    x = start_noise
    for index, timestep in enumerate(reference.timesteps):
        end = sigmas[index + 1]
        unit = path.between(sigmas[index], end) if end > 0 else torch.zeros(SHAPE)
        x = reference.step(toy_noise(x), timestep, x, variance_noise=unit).prev_sample
    result, _ = sample(name, start(start_noise, sigmas[0]), sigmas, noise=NoiseStream(5, SHAPE, CPU))
    torch.testing.assert_close(result, x, atol=2e-3, rtol=2e-3)


def test_dpmpp_3m_sde_without_noise_agrees_with_diffusers(levels):
    """With noise, the third-order term of diffusers has another sign than in k-diffusion and the paper.

    The second step, with one earlier evaluation, equals k-diffusion's for the solver type "heun".
    """
    noise, steps = torch.randn(SHAPE), 20
    options = {"solver_order": 3, "use_karras_sigmas": True, "final_sigmas_type": "zero"}
    reference = DPMSolverMultistepScheduler(**LDM, **options, solver_type="heun")
    expected = diffusers_sample(reference, steps, noise)
    sigmas = reference.sigmas.tolist()
    result, _ = sample("DPM++ 3M SDE", start(noise, sigmas[0]), sigmas, eta=0.0)
    torch.testing.assert_close(result, expected, atol=1e-4, rtol=1e-4)


def test_plms_agrees_with_diffusers_up_to_its_last_update(levels):
    steps, noise = 20, torch.randn(SHAPE)
    reference = PNDMScheduler(
        **LDM, skip_prk_steps=True, steps_offset=1, timestep_spacing="leading", set_alpha_to_one=False
    )
    reference.set_timesteps(steps)
    expected = noise
    for timestep in reference.timesteps[:-1]:
        expected = reference.step(toy_noise(expected), timestep, expected).prev_sample
    sigmas = sigmas_for(levels, "PLMS", "Automatic", steps)
    result, _ = sample("PLMS", start(noise, sigmas[0]), sigmas)
    torch.testing.assert_close(result / math.sqrt(1 + sigmas[-1] ** 2), expected, atol=1e-3, rtol=1e-3)


def test_lcm_agrees_with_diffusers_on_the_same_noise(levels):
    reference = LCMScheduler(**LDM, original_inference_steps=50, clip_sample=False)
    reference.set_timesteps(4)
    generator, stream = torch.Generator().manual_seed(5), NoiseStream(5, SHAPE, CPU)
    expected = torch.randn((1, *SHAPE), generator=generator)
    for timestep in reference.timesteps:
        expected = reference.step(
            toy_noise(expected), timestep, expected, generator=generator, return_dict=False
        )[0]
    sigmas = [*levels.sigmas_at([float(timestep) for timestep in reference.timesteps]), 0.0]
    result, _ = sample("LCM", start(stream.draw(), sigmas[0]), sigmas, noise=stream)
    torch.testing.assert_close(result, expected[0], atol=2e-3, rtol=2e-3)


def test_cfgpp_steps_to_the_guided_estimate_with_the_noise_of_the_unguided_one():
    sampler = SAMPLERS["DDIM CFG++"](torch.ones(SHAPE), [4.0, 2.0], None, SamplerOptions())
    next(sampler)
    with pytest.raises(StopIteration) as end:
        sampler.send(GuidedAndUnguided(torch.full(SHAPE, 0.5), torch.full(SHAPE, -1.0)))
    torch.testing.assert_close(end.value.value, torch.full(SHAPE, 0.5 + (1 + 1) / 4 * 2))


SPREAD = 0.5
STOCHASTIC = [
    sampler.name
    for sampler in sampler_catalog.SAMPLERS
    if sampler.brownian or sampler.ancestral or sampler.name == "Restart"
]


def spread_denoised(x, sigma):
    """Exact denoiser of data that are normal with mean 1 and standard deviation SPREAD."""
    return (1.0 * sigma**2 + x * SPREAD**2) / (SPREAD**2 + sigma**2)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_stochastic_samplers_reproduce_the_data_distribution(levels, name):
    """Mean and standard deviation over many independent values."""
    shape = (4, 48, 48)
    sigmas = sigmas_for(levels, name, "Automatic", 60)
    stream = NoiseStream(3, shape, CPU)
    result, _ = sample(name, stream.draw() * sigmas[0], sigmas, spread_denoised, noise=stream)
    assert result.mean() == pytest.approx(1, abs=0.06)
    assert result.std() == pytest.approx(SPREAD, abs=0.06)


@pytest.mark.parametrize("name", ["Euler", "Heun", "DPM2"])
def test_churn_keeps_the_distribution_and_changes_the_sample(levels, name):
    shape = (4, 48, 48)
    sigmas = sigmas_for(levels, name, "Karras", 100)

    def result(**options):
        stream = NoiseStream(3, shape, CPU)
        return sample(name, stream.draw() * sigmas[0], sigmas, spread_denoised, noise=stream, **options)[0]

    churned, usual = result(s_churn=20.0), result()
    assert (churned - usual).abs().mean() > 0.1
    assert churned.std() == pytest.approx(SPREAD, abs=0.06)
    assert torch.equal(result(s_churn=20.0, s_tmin=100.0), usual)
    assert torch.equal(result(s_churn=20.0, s_tmax=0.001), usual)


@pytest.mark.parametrize("name", ["DPM++ SDE", "DPM++ 2M SDE", "DPM2 a"])
def test_lower_s_noise_gives_a_lower_deviation(levels, name):
    sigmas = sigmas_for(levels, name, "Automatic", 40)
    ends = [
        sample(name, torch.zeros(4, 32, 32), sigmas, spread_denoised, s_noise=s_noise)[0].std()
        for s_noise in (0.5, 1.0)
    ]
    assert ends[0] < ends[1]


def test_dpm_adaptive_keeps_its_tolerance_and_ends_even_with_nan_estimates():
    sigmas = [10.0, 0.1, 0.0]
    x = torch.linspace(-20, 20, 11, dtype=torch.float64)
    exact = 0.5 + (x - 0.5) * math.sqrt((1 + 0.01) / (1 + 100))
    result, evaluated = sample("DPM adaptive", x, sigmas, gaussian_denoised, eta=0.0)
    assert (result - exact).abs().max() < 0.1  # 5 % of the largest value
    assert 6 <= evaluated <= 60
    _, evaluated = sample("DPM adaptive", x, sigmas, lambda x, sigma: x * math.nan, eta=1.0)
    assert evaluated < 1000


def test_restart_keeps_the_total_number_of_steps(levels):
    sigmas = sigmas_for(levels, "Restart", "Automatic", 20)
    steps = restart_steps(sigmas)
    rises = [(low, high) for (_, low), (high, _) in pairwise(steps) if high > low]
    assert len(steps) == 20
    assert [low < 0.2 and 1 < high < 3 for low, high in rises] == [True]
    assert (
        len(
            [
                1
                for (_, low), (high, _) in pairwise(
                    restart_steps(sigmas_for(levels, "Restart", "Automatic", 40))
                )
                if high > low
            ]
        )
        == 2
    )


@pytest.mark.parametrize(
    ("options", "reduction"),
    [
        ({"variant": "bh2"}, 3.4),
        ({"order": 2}, 3.4),
        ({"order": 1}, 3.4),
        ({"lower_order_final": False}, 3.4),
        ({"variant": "vary_coeff"}, 1.7),  # first order, because of the reference implementation's corrector
    ],
)
def test_unipc_variants_converge(options, reduction):
    def error_with(steps):
        sigmas = torch.logspace(1, -1, steps + 1, dtype=torch.float64).tolist()
        x = torch.linspace(-20, 20, 11, dtype=torch.float64)
        exact = 0.5 + (x - 0.5) * math.sqrt((1 + sigmas[-1] ** 2) / (1 + sigmas[0] ** 2))
        result, _ = sample("UniPC", x, sigmas, gaussian_denoised, unipc=UniPC(**options))
        return (result - exact).abs().max().item()

    assert error_with(40) / error_with(80) > reduction


def gaussian_denoised(x, sigma):
    """Exact denoiser of data that are normal with mean 0.5 and variance 1; the ODE has a closed-form solution."""
    return 0.5 + (x - 0.5) / (1 + sigma**2)


def error(name, steps):
    sigmas = torch.logspace(1, -1, steps + 1, dtype=torch.float64).tolist()
    x = torch.linspace(-20, 20, 11, dtype=torch.float64)
    exact = 0.5 + (x - 0.5) * math.sqrt((1 + sigmas[-1] ** 2) / (1 + sigmas[0] ** 2))
    result, _ = sample(name, x, sigmas, gaussian_denoised, eta=0.0)
    return (result - exact).abs().max().item()


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("Euler", 1),
        ("Euler a", 1),
        ("DDIM", 1),
        ("Heun", 2),
        ("DPM2", 2),
        ("DPM2 a", 2),
        ("DPM++ 2S a", 2),
        ("DPM++ 2M", 2),
        ("UniPC", 2),
        ("LMS", 2),
        ("DPM++ SDE", 2),
        ("DPM++ 2M SDE", 2),
        ("DPM++ 2M SDE Heun", 2),
        ("DPM++ 3M SDE", 2),  # as published: its last term is half of what third order needs
        ("DPM fast", 3),
        ("DDIM CFG++", 1),
        ("PLMS", 2),
    ],
)
def test_doubling_the_steps_reduces_the_error_according_to_the_order(name, order):
    assert error(name, 40) / error(name, 80) > 2**order * 0.85


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 2, 3, 20, 40])
def test_every_sampler_makes_the_announced_number_of_evaluations(levels, name, steps):
    sigmas = sigmas_for(levels, name, "Automatic", steps)
    eta = sampler_catalog.sampler(name).default_eta or 0.0
    result, evaluated = sample(name, torch.randn(SHAPE) * sigmas[0], sigmas)
    assert evaluated == evaluations(name, sigmas, eta) or sampler_catalog.sampler(name).approximate
    assert result.isfinite().all()


@pytest.mark.parametrize("name", ["Euler a", "DPM2 a", "DPM++ 2S a", "DPM++ SDE", "DPM fast", "DDIM"])
def test_a_huge_eta_gives_finite_results(levels, name):
    sigmas = sigmas_for(levels, name, "Automatic", 10)
    result, evaluated = sample(
        name, torch.randn(SHAPE) * sigmas[0], sigmas, eta=1.0 if name == "DDIM" else 10.0
    )
    assert result.isfinite().all()
    assert evaluated == evaluations(name, sigmas, 10.0)


def test_ancestral_step_variances_add_up():
    down, up = ancestral_step(5.0, 3.0, 0.8)
    assert down**2 + up**2 == pytest.approx(9.0)


def test_an_ancestral_sample_depends_on_its_own_noise_stream_only(levels):
    sigmas = sigmas_for(levels, "Euler a", "Automatic", 5)

    def result(seed):
        stream = NoiseStream(seed, SHAPE, CPU)
        return sample("Euler a", stream.draw() * sigmas[0], sigmas, noise=stream)[0]

    assert torch.equal(result(3), result(3))
    assert not torch.equal(result(3), result(4))
