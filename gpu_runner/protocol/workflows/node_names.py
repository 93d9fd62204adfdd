"""Samplers, schedulers and preprocessors under ComfyUI's names. Names that are missing here have no equivalent."""

from __future__ import annotations

from typing import Any

from gpu_runner.protocol.catalogs import samplers as sampler_catalog

SAMPLERS = {
    "DPM++ 2M": "dpmpp_2m",
    "DPM++ SDE": "dpmpp_sde",
    "DPM++ 2M SDE": "dpmpp_2m_sde",
    "DPM++ 2M SDE Heun": "dpmpp_2m_sde_heun",
    "DPM++ 2S a": "dpmpp_2s_ancestral",
    "DPM++ 3M SDE": "dpmpp_3m_sde",
    "Euler a": "euler_ancestral",
    "Euler": "euler",
    "LMS": "lms",
    "Heun": "heun",
    "DPM2": "dpm_2",
    "DPM2 a": "dpm_2_ancestral",
    "DPM fast": "dpm_fast",
    "DDIM": "ddim",
    "UniPC": "uni_pc",
    "LCM": "lcm",
}
SCHEDULERS = {
    "Uniform": "normal",
    "Karras": "karras",
    "Exponential": "exponential",
    "Polyexponential": "exponential",  # equal for rho = 1; requests with another rho are rejected
    "SGM Uniform": "sgm_uniform",
    "KL Optimal": "kl_optimal",
    "Simple": "simple",
    "Normal": "normal",
    "DDIM": "ddim_uniform",
    "Beta": "beta",
}
LATENT_METHODS = {
    "Latent": "bilinear",
    "Latent (bicubic)": "bicubic",
    "Latent (nearest-exact)": "nearest-exact",
}
# Preprocessors with a network: (class, inputs) of nodes of comfyui_controlnet_aux.
MODULE_NODES: dict[str, tuple[str, dict[str, Any]]] = {
    "lineart": ("LineArtPreprocessor", {"coarse": "disable"}),
    "lineart_coarse": ("LineArtPreprocessor", {"coarse": "enable"}),
    "lineart_anime": ("AnimeLineArtPreprocessor", {}),
    "hed": ("HEDPreprocessor", {"safe": "disable"}),
    "hed_safe": ("HEDPreprocessor", {"safe": "enable"}),
    "depth": ("MiDaS-DepthMapPreprocessor", {}),
    "depth_zoe": ("Zoe-DepthMapPreprocessor", {}),
    "depth_anything": ("DepthAnythingPreprocessor", {}),
    "depth_anything_v2": ("DepthAnythingV2Preprocessor", {}),
    "normal_bae": ("BAE-NormalMapPreprocessor", {}),
    "openpose_full": ("OpenposePreprocessor", {}),
    "dw_openpose_full": ("DWPreprocessor", {}),
}
# Preprocessors without a network: the adapter computes the map and uploads it.
LOCAL_MODULES = frozenset(
    {
        "none",
        "canny",
        "invert",
        "blur_gaussian",
        "shuffle",
        "threshold",
        "scribble_xdog",
        "lineart_standard",
        "tile_resample",
        "color",
    }
)


def scheduler(sampler: str, label: str) -> str | None:
    """Return ComfyUI's name of the effective schedule, or None if it has none."""
    effective = sampler_catalog.effective_scheduler(sampler, label)
    if label == sampler_catalog.AUTOMATIC and sampler == "DDIM":
        return "ddim_uniform"  # DDIM uses its own timesteps
    return SCHEDULERS.get(effective)
