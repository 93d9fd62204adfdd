"""Samplers of flow-matching models: sigma is the flow time t, and x_t = (1 - t) * x0 + t * noise.

The velocity is (x - x0) / t, so that solvers of dx/dt run unchanged on times. Solvers in log(sigma) expect x0 + sigma *
noise: they run on x_t / (1 - t), whose sigma is t / (1 - t), and whose logarithm is half the negative log-SNR. Ancestral
steps have forms of their own, which keep the image's share at 1 - t.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

from torch import Tensor

from gpu_runner.protocol.schedules.ancestral import flow_ancestral_step

from .common_steps import SamplerFunction, SamplerGenerator, SamplerOptions, euler_step, midpoint_step
from .ddim_plms_lcm import lcm
from .dpmpp import dpmpp_2m, dpmpp_2m_sde, dpmpp_2m_sde_heun, dpmpp_3m_sde, dpmpp_sde
from .euler import dpm_2, euler, heun, lms
from .noise import NoiseStream
from .unipc import unipc

MAX_TIME = 1 - 1e-4  # t = 1 has no finite sigma; ComfyUI's ``offset_first_sigma_for_snr``


def in_sigma_space(sampler: SamplerFunction) -> SamplerFunction:
    """Run a sampler of sigma space on flow times. Its last sigma must be 0, where both spaces agree."""

    def run(x: Tensor, times: list[float], noise: NoiseStream, options: SamplerOptions) -> SamplerGenerator:
        sigmas = [_sigma(t) for t in times]
        scaled = sampler(
            x * (1 + sigmas[0]),
            sigmas,
            noise,
            replace(options, schedule=tuple(_sigma(t) for t in options.schedule)),
        )
        denoised: Tensor | None = None
        while True:
            try:
                y, sigma = scaled.send(denoised) if denoised is not None else next(scaled)
            except StopIteration as end:
                return end.value
            denoised = yield y / (1 + sigma), sigma / (1 + sigma)

    return run


def _sigma(t: float) -> float:
    t = min(t, MAX_TIME)
    return t / (1 - t)


def euler_ancestral(
    x: Tensor, times: list[float], noise: NoiseStream, options: SamplerOptions
) -> SamplerGenerator:
    """ComfyUI's ``sample_euler_ancestral_RF`` with s_noise 1."""
    for t, t_next in pairwise(times):
        denoised = yield x, t
        down, scale, up = flow_ancestral_step(t, t_next, options.eta)
        x = _renoised(euler_step(x, denoised, t, down), t_next, scale, up, noise)
    return x


def dpm_2_ancestral(
    x: Tensor, times: list[float], noise: NoiseStream, options: SamplerOptions
) -> SamplerGenerator:
    """ComfyUI's ``sample_dpm_2_ancestral_RF``."""
    for t, t_next in pairwise(times):
        down, scale, up = flow_ancestral_step(t, t_next, options.eta)
        x = yield from midpoint_step(x, t, down)
        x = _renoised(x, t_next, scale, up * options.s_noise, noise)
    return x


def dpmpp_2s_ancestral(
    x: Tensor, times: list[float], noise: NoiseStream, options: SamplerOptions
) -> SamplerGenerator:
    """DPM++ 2S as in k-diffusion to the time ``down``, in log(t / (1 - t)), and ancestral noise in its flow form."""
    for t, t_next in pairwise(times):
        down, scale, up = flow_ancestral_step(t, t_next, options.eta)
        denoised = yield x, t
        if down > 0:
            middle = math.sqrt(_sigma(t) * _sigma(down))
            middle /= 1 + middle
            denoised = yield _interpolated(x, denoised, t, middle), middle
        x = _renoised(_interpolated(x, denoised, t, down), t_next, scale, up * options.s_noise, noise)
    return x


def _interpolated(x: Tensor, denoised: Tensor, t: float, t_next: float) -> Tensor:
    """x at ``t_next`` for a constant estimate. The first-order step of every solver of a flow."""
    return x * (t_next / t) + denoised * (1 - t_next / t)


def _renoised(x: Tensor, t_next: float, scale: float, up: float, noise: NoiseStream) -> Tensor:
    return x * scale + noise.draw() * up if t_next > 0 and up > 0 else x


FLOW_SAMPLERS: dict[str, SamplerFunction] = {
    "Euler": euler,
    "Heun": heun,
    "DPM2": dpm_2,
    "LMS": lms,
    "DPM++ 2M": in_sigma_space(dpmpp_2m),
    "DPM++ SDE": in_sigma_space(dpmpp_sde),
    "DPM++ 2M SDE": in_sigma_space(dpmpp_2m_sde),
    "DPM++ 2M SDE Heun": in_sigma_space(dpmpp_2m_sde_heun),
    "DPM++ 3M SDE": in_sigma_space(dpmpp_3m_sde),
    "DPM++ 2S a": dpmpp_2s_ancestral,
    "Euler a": euler_ancestral,
    "DPM2 a": dpm_2_ancestral,
    "UniPC": in_sigma_space(unipc),
    "LCM": in_sigma_space(lcm),
}
