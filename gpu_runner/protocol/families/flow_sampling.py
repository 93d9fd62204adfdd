"""Samplers and schedulers of flow-matching families. No torch."""

from __future__ import annotations

# In the order of menus. DDIM, DDIM CFG++, PLMS, DPM fast, DPM adaptive and Restart are built on the noise levels of
# diffusion models.
SAMPLERS = (
    "Euler",
    "Heun",
    "DPM2",
    "LMS",
    "DPM++ 2M",
    "DPM++ SDE",
    "DPM++ 2M SDE",
    "DPM++ 2M SDE Heun",
    "DPM++ 3M SDE",
    "DPM++ 2S a",
    "Euler a",
    "DPM2 a",
    "UniPC",
    "LCM",
)
SCHEDULERS = ("Simple", "Normal", "SGM Uniform", "Beta", "Karras")
