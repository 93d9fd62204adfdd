"""Built-in upscalers: latent interpolation modes and image filters, under A1111's names. No torch."""

from __future__ import annotations

from typing import NamedTuple


class LatentMode(NamedTuple):
    """Latent upscaler. ``interpolation`` and ``antialias`` are arguments of ``torch.nn.functional.interpolate``."""

    name: str
    interpolation: str
    antialias: bool = False


LATENT_MODES = (
    LatentMode("Latent", "bilinear"),
    LatentMode("Latent (antialiased)", "bilinear", antialias=True),
    LatentMode("Latent (bicubic)", "bicubic"),
    LatentMode("Latent (bicubic antialiased)", "bicubic", antialias=True),
    LatentMode("Latent (nearest)", "nearest"),
    LatentMode("Latent (nearest-exact)", "nearest-exact"),
)
NONE, LANCZOS, NEAREST = "None", "Lanczos", "Nearest"
BUILT_IN = (NONE, LANCZOS, NEAREST)

_LATENT_MODES = {mode.name: mode for mode in LATENT_MODES}


def latent_mode(name: str) -> LatentMode | None:
    """Return the latent upscaler with this name, or None."""
    return _LATENT_MODES.get(name)


def file_of(name: str) -> str:
    """Return the upscaler model that ``name`` refers to; empty for built-in upscalers."""
    return "" if name in BUILT_IN or name in _LATENT_MODES else name
