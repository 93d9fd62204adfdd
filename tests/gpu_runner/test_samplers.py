"""The samplers against diffusers' schedulers on the same noise, and against a model whose exact solution is known."""

import math

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    KDPM2DiscreteScheduler,
    UniPCMultistepScheduler,
)

from gpu_runner import catalogue
from gpu_runner.noise import NoiseStream
from gpu_runner.samplers import SAMPLERS, ancestral_split, evaluations
from gpu_runner.schedules import NoiseLevels, sigmas_for

LDM = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
SHAPE = (4, 8, 8)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def levels():
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return NoiseLevels(torch.cumprod(1 - betas, 0))


def toy_noise(x):
    """What the toy model takes for the noise in a variance-preserving x: smooth, and not linear."""
    return torch.tanh(1.5 * x) + 0.1 * x.roll(1, -1)


def toy_denoised(x, sigma):
    return x - sigma * toy_noise(x / math.sqrt(1 + sigma**2))


def walk(name, x, sigmas, denoise=toy_denoised, eta=None, noise=None):
    default = catalogue.sampler(name).default_eta or 0.0
    sampler = SAMPLERS[name](x, sigmas, noise or NoiseStream(1, SHAPE, CPU), default if eta is None else eta)
    denoised, asked = None, 0
    try:
        while True:
            x, sigma = sampler.send(denoised) if asked else next(sampler)
            denoised, asked = denoise(x, sigma), asked + 1
    except StopIteration as end:
        return end.value, asked


def diffusers_walk(scheduler, steps, noise, **options):
    scheduler.set_timesteps(steps)
    x = noise * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        x = scheduler.step(
            toy_noise(scheduler.scale_model_input(x, timestep)), timestep, x, **options
        ).prev_sample
    return x


def start(noise, sigma):
    """Where diffusers' samplers in sigma space and in the variance-preserving one begin."""
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
    expected = diffusers_walk(reference, steps, noise)
    x = noise * float(reference.init_noise_sigma)
    drawn, _ = walk(name, x, sigmas_for(levels, name, "Uniform", steps))
    torch.testing.assert_close(drawn, expected, atol=1e-3, rtol=1e-3)


def test_dpm2_agrees_with_diffusers(levels):
    noise, steps = torch.randn(SHAPE), 20
    reference = KDPM2DiscreteScheduler(**LDM, use_karras_sigmas=True)
    expected = diffusers_walk(reference, steps, noise)
    sigmas = [*reference.sigmas[::2].tolist()]
    drawn, _ = walk("DPM2", noise * float(reference.init_noise_sigma), sigmas)
    torch.testing.assert_close(drawn, expected, atol=1e-3, rtol=1e-3)


def test_euler_a_agrees_with_diffusers_on_the_same_noise(levels):
    steps = 28
    reference = EulerAncestralDiscreteScheduler(**LDM, timestep_spacing="linspace")
    generator, stream = torch.Generator().manual_seed(5), NoiseStream(5, SHAPE, CPU)
    noise = torch.randn((1, *SHAPE), generator=generator)
    expected = diffusers_walk(reference, steps, noise, generator=generator)
    x = stream.draw() * float(reference.init_noise_sigma)
    drawn, _ = walk("Euler a", x, sigmas_for(levels, "Euler a", "Uniform", steps), noise=stream)
    torch.testing.assert_close(drawn, expected[0], atol=1e-3, rtol=1e-3)


def test_dpmpp_2m_agrees_with_diffusers(levels):
    noise, steps = torch.randn(SHAPE), 20
    reference = DPMSolverMultistepScheduler(**LDM, use_karras_sigmas=True, final_sigmas_type="zero")
    expected = diffusers_walk(reference, steps, noise)
    sigmas = sigmas_for(levels, "DPM++ 2M", "Automatic", steps)
    drawn, _ = walk("DPM++ 2M", start(noise, sigmas[0]), sigmas)
    torch.testing.assert_close(drawn, expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_ddim_agrees_with_diffusers_up_to_its_last_update(levels, eta):
    """diffusers goes one update further than A1111, to the first training level: stop it before that."""
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
    drawn, _ = walk("DDIM", start(stream.draw(), sigmas[0]), sigmas, eta=eta, noise=stream)
    torch.testing.assert_close(drawn / math.sqrt(1 + sigmas[-1] ** 2), expected[0], atol=1e-3, rtol=1e-3)


def test_unipc_agrees_with_diffusers(levels):
    noise, steps = torch.randn(SHAPE), 27
    reference = UniPCMultistepScheduler(
        **LDM, solver_order=3, solver_type="bh1", timestep_spacing="linspace", final_sigmas_type="sigma_min"
    )
    expected = diffusers_walk(reference, steps, noise[None])[0]
    sigmas = sigmas_for(levels, "UniPC", "Automatic", steps)
    drawn, _ = walk("UniPC", start(noise, sigmas[0]), sigmas)
    torch.testing.assert_close(drawn / math.sqrt(1 + sigmas[-1] ** 2), expected, atol=1e-3, rtol=1e-3)


def gaussian_denoised(x, sigma):
    """Exact where the data are normal with mean 0.5 and variance 1: the probability flow has a closed solution."""
    return 0.5 + (x - 0.5) / (1 + sigma**2)


def error(name, steps):
    sigmas = torch.logspace(1, -1, steps + 1, dtype=torch.float64).tolist()
    x = torch.linspace(-20, 20, 11, dtype=torch.float64)
    exact = 0.5 + (x - 0.5) * math.sqrt((1 + sigmas[-1] ** 2) / (1 + sigmas[0] ** 2))
    drawn, _ = walk(name, x, sigmas, gaussian_denoised, eta=0.0)
    return (drawn - exact).abs().max().item()


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
    ],
)
def test_twice_the_steps_divide_the_error_as_the_order_promises(name, order):
    assert error(name, 40) / error(name, 80) > 2**order * 0.85


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 2, 3, 20])
def test_every_sampler_asks_as_often_as_announced(levels, name, steps):
    sigmas = sigmas_for(levels, name, "Automatic", steps)
    eta = catalogue.sampler(name).default_eta or 0.0
    drawn, asked = walk(name, torch.randn(SHAPE) * sigmas[0], sigmas)
    assert asked == evaluations(name, sigmas, eta)
    assert drawn.isfinite().all()


@pytest.mark.parametrize("name", ["Euler a", "DPM2 a", "DPM++ 2S a", "DDIM"])
def test_a_huge_eta_is_still_a_walk(levels, name):
    sigmas = sigmas_for(levels, name, "Automatic", 10)
    drawn, asked = walk(name, torch.randn(SHAPE) * sigmas[0], sigmas, eta=1.0 if name == "DDIM" else 10.0)
    assert drawn.isfinite().all()
    assert asked == evaluations(name, sigmas, 10.0)


def test_ancestral_parts_add_up():
    down, up = ancestral_split(5.0, 3.0, 0.8)
    assert down**2 + up**2 == pytest.approx(9.0)


def test_an_ancestral_picture_comes_from_its_own_stream_alone(levels):
    sigmas = sigmas_for(levels, "Euler a", "Automatic", 5)

    def drawn(seed):
        stream = NoiseStream(seed, SHAPE, CPU)
        return walk("Euler a", stream.draw() * sigmas[0], sigmas, noise=stream)[0]

    assert torch.equal(drawn(3), drawn(3))
    assert not torch.equal(drawn(3), drawn(4))
