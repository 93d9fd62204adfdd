"""The samplers, each a generator for ONE picture in sigma space.

It yields (x, sigma), is sent the denoised estimate of x, and returns the last x. The formulas are the papers' and
k-diffusion's. In sigma space a noisy latent is ``clean + sigma * noise``.
"""

from __future__ import annotations

from gpu_runner.samplers.dpm_solver import dpm_adaptive, dpm_fast
from gpu_runner.samplers.dpmpp import (
    dpmpp_2m,
    dpmpp_2m_sde,
    dpmpp_2m_sde_heun,
    dpmpp_2s_ancestral,
    dpmpp_3m_sde,
    dpmpp_sde,
)
from gpu_runner.samplers.euler import dpm_2, dpm_2_ancestral, euler, euler_ancestral, heun, lms
from gpu_runner.samplers.restart import restart
from gpu_runner.samplers.unipc import unipc

from .common_steps import Sampler, SamplerOptions, Walk
from .ddim_plms_lcm import ddim, ddim_cfgpp, lcm, plms

__all__ = ["SAMPLERS", "SamplerOptions", "Walk"]

SAMPLERS: dict[str, Sampler] = {
    "DPM++ 2M": dpmpp_2m,
    "DPM++ SDE": dpmpp_sde,
    "DPM++ 2M SDE": dpmpp_2m_sde,
    "DPM++ 2M SDE Heun": dpmpp_2m_sde_heun,
    "DPM++ 2S a": dpmpp_2s_ancestral,
    "DPM++ 3M SDE": dpmpp_3m_sde,
    "Euler a": euler_ancestral,
    "Euler": euler,
    "LMS": lms,
    "Heun": heun,
    "DPM2": dpm_2,
    "DPM2 a": dpm_2_ancestral,
    "DPM fast": dpm_fast,
    "DPM adaptive": dpm_adaptive,
    "Restart": restart,
    "DDIM": ddim,
    "DDIM CFG++": ddim_cfgpp,
    "PLMS": plms,
    "UniPC": unipc,
    "LCM": lcm,
}
