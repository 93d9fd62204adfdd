"""Noise streams. Each image has its own, so that outputs do not depend on the other images of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from gpu_runner.protocol import MAX_SEED, GenerationRequest

from .brownian_noise import BrownianNoise
from .philox import Philox

SLERP_MAX_COSINE = 0.9995  # above it, A1111 interpolates linearly
Shape = tuple[int, ...]


class Normals(Protocol):
    """A seeded stream of standard normal numbers."""

    def draw(self, shape: Shape) -> Tensor: ...


class TorchNormals:
    """torch's CPU generator, for every device, so that a seed gives the same output on all machines."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator("cpu").manual_seed(seed)

    def draw(self, shape: Shape) -> Tensor:
        return torch.randn(shape, generator=self._generator, dtype=torch.float32)


class NvidiaNormals:
    """torch's CUDA generator, emulated on the CPU (A1111's "NV" random number source)."""

    def __init__(self, seed: int) -> None:
        self._philox = Philox(seed)

    def draw(self, shape: Shape) -> Tensor:
        return torch.from_numpy(self._philox.normals(shape))


SOURCES: dict[str, Callable[[int], Normals]] = {"cpu": TorchNormals, "nv": NvidiaNormals}


@dataclass(frozen=True)
class Variation:
    """Variation seed, and the interpolation towards its noise (0 to 1)."""

    subseed: int
    strength: float


class NoiseStream:
    """Noise of one image. The first draw is the initial noise; the noise of the sampler's steps follows in the same stream.

    ``shape`` is (channels, height, width) of the latent. ``delta`` (A1111's ENSD) starts a new stream, with seed + delta,
    after the first draw. ``drawn_at`` (A1111's "resize seed from") is the latent (height, width) the initial noise is
    drawn for, before it is pasted into the center of noise of the image's own size.
    """

    def __init__(
        self,
        seed: int,
        shape: Shape,
        device: torch.device,
        *,
        source: str = "cpu",
        variation: Variation | None = None,
        drawn_at: tuple[int, int] | None = None,
        delta: int = 0,
    ) -> None:
        self._seed, self._shape, self._device = seed, shape, device
        self._new = SOURCES[source]
        self._variation, self._drawn_at, self._delta = variation, drawn_at, delta
        self._stream = self._new(seed)
        self._is_first = True

    @classmethod
    def of(
        cls, request: GenerationRequest, index: int, shape: Shape, device: torch.device, scale: int = 8
    ) -> NoiseStream:
        """Return the stream of image ``index`` of a request. ``scale``: image pixels per latent pixel, along one side."""
        strength = request.subseed_strength
        sides = (
            request.seed_resize_from_height // scale,
            request.seed_resize_from_width // scale,
        )
        return cls(
            request.seed_of(index),
            shape,
            device,
            source=request.noise_source,
            variation=Variation(request.subseed_of(index), strength) if strength else None,
            drawn_at=sides if all(sides) else None,
            delta=request.eta_noise_seed_delta,
        )

    def draw(self) -> Tensor:
        """Return the next noise, standard normal float32 of the latent's shape, on the device."""
        if not self._is_first:
            return self._stream.draw(self._shape).to(self._device)
        self._is_first = False
        first = self._first()
        if self._delta:
            self._stream = self._new((self._seed + self._delta) % (MAX_SEED + 1))
        return first.to(self._device)

    def brownian(self, sigmas: Sequence[float]) -> BrownianNoise:
        """Return the Brownian noise for SDE samplers. ``sigmas`` is the whole schedule, of which img2img runs a part.

        It depends on the seed only, not on the variation, and uses torch's CPU generator for every noise source.
        """
        levels = [sigma for sigma in sigmas if sigma > 0]
        return BrownianNoise(self._seed, self._shape, min(levels), max(levels), self._device)

    def _first(self) -> Tensor:
        shape = (self._shape[0], *self._drawn_at) if self._drawn_at else self._shape
        if shape == self._shape:
            return self._with_variation(self._stream.draw(shape))
        return _paste_centered(
            self._stream.draw(self._shape), self._with_variation(self._new(self._seed).draw(shape))
        )

    def _with_variation(self, noise: Tensor) -> Tensor:
        if self._variation is None:
            return noise
        return slerp(
            noise, self._new(self._variation.subseed).draw(tuple(noise.shape)), self._variation.strength
        )


def slerp(one: Tensor, other: Tensor, share: float) -> Tensor:
    """Spherical interpolation between two latents (A1111's ``slerp``), along dimension 1. Keeps the variance.

    ``share`` is 0 for ``one`` and 1 for ``other``. Nearly parallel latents are interpolated linearly, with the weights
    exchanged, as in A1111.
    """
    unit, other_unit = (noise / noise.norm(dim=1, keepdim=True) for noise in (one, other))
    cosine = (unit * other_unit).sum(dim=1, keepdim=True).clamp(-1, 1)
    if cosine.mean() > SLERP_MAX_COSINE:
        return torch.lerp(other, one, share)
    angle = torch.acos(cosine)
    spherical = (torch.sin((1 - share) * angle) * one + torch.sin(share * angle) * other) / torch.sin(angle)
    return torch.where(torch.sin(angle) > 1e-6, spherical, torch.lerp(one, other, share))


def _paste_centered(ground: Tensor, noise: Tensor) -> Tensor:
    """Paste ``noise`` into the center of ``ground``, in place; the center of ``noise`` if it is larger."""
    there, here = zip(*(_overlap(ground.shape[axis], noise.shape[axis]) for axis in (1, 2)), strict=True)
    ground[:, there[0], there[1]] = noise[:, here[0], here[1]]
    return ground


def _overlap(ground: int, noise: int) -> tuple[slice, slice]:
    offset = (ground - noise) // 2
    length = noise + 2 * min(offset, 0)
    return slice(max(offset, 0), max(offset, 0) + length), slice(max(-offset, 0), max(-offset, 0) + length)
