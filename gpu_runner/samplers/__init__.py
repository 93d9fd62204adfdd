"""Samplers, each a generator for one image in sigma space (k-diffusion's parametrization).

A noisy latent is ``x = x0 + sigma * noise``. A sampler yields (x, sigma) for each model evaluation, is sent the denoised
estimate (x0) of the same shape, and returns the final x. Arguments of every sampler: the initial latent of shape
(channels, height, width), the sigmas in descending order, the image's noise stream, and the options. A generator per image
lets the engine batch the evaluations of different images and samplers in one UNet call.

FLOW_SAMPLERS are the samplers of flow-matching models, whose sigma is the flow time.
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

from .common_steps import SamplerFunction, SamplerGenerator, SamplerOptions
from .ddim_plms_lcm import ddim, ddim_cfgpp, lcm, plms
from .flow import FLOW_SAMPLERS

__all__ = ["FLOW_SAMPLERS", "SAMPLERS", "SamplerGenerator", "SamplerOptions"]

SAMPLERS: dict[str, SamplerFunction] = {
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
