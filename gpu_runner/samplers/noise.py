"""Every picture has a noise stream of its own, so that it does not depend on who shares its batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from gpu_runner.protocol import GenerationRequest

from .brownian_noise import BrownianNoise
from .philox import Philox

LATENT_SCALE = 8  # pixels a latent pixel, each way
PARALLEL = 0.9995  # the cosine above which a sphere is as good as flat
Shape = tuple[int, ...]


class Normals(Protocol):
    """A stream of normals with a seed."""

    def draw(self, shape: Shape) -> Tensor: ...


class TorchNormals:
    """Of torch's CPU generator, whatever the device: the same seed is the same picture on every machine."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator("cpu").manual_seed(seed)

    def draw(self, shape: Shape) -> Tensor:
        return torch.randn(shape, generator=self._generator, dtype=torch.float32)


class NvidiaNormals:
    def __init__(self, seed: int) -> None:
        self._philox = Philox(seed)

    def draw(self, shape: Shape) -> Tensor:
        return torch.from_numpy(self._philox.normals(shape))


SOURCES: dict[str, Callable[[int], Normals]] = {"cpu": TorchNormals, "nv": NvidiaNormals}


@dataclass(frozen=True)
class Variation:
    """Another seed's noise, and how far towards it."""

    subseed: int
    strength: float


class NoiseStream:
    """The first draw is the picture's initial noise; what a sampler draws later follows in the same stream.

    ``delta`` begins a new stream after the first draw. ``drawn_at`` is the latent (height, width) that the first noise
    is made for, and from which it is set into the middle of the picture's own.
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
    def of(cls, request: GenerationRequest, index: int, shape: Shape, device: torch.device) -> NoiseStream:
        strength = request.subseed_strength
        sides = (
            request.seed_resize_from_height // LATENT_SCALE,
            request.seed_resize_from_width // LATENT_SCALE,
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
        if not self._is_first:
            return self._stream.draw(self._shape).to(self._device)
        self._is_first = False
        first = self._first()
        if self._delta:
            self._stream = self._new(self._seed + self._delta)
        return first.to(self._device)

    def brownian(self, sigmas: Sequence[float]) -> BrownianNoise:
        """``sigmas`` is the whole schedule, of which img2img runs a part.

        It has the image's own seed, without the variation, and torch's CPU generator, whatever the noise source.
        """
        levels = [sigma for sigma in sigmas if sigma > 0]
        return BrownianNoise(self._seed, self._shape, min(levels), max(levels), self._device)

    def _first(self) -> Tensor:
        shape = (self._shape[0], *self._drawn_at) if self._drawn_at else self._shape
        if shape == self._shape:
            return self._varied(self._stream.draw(shape))
        return _set_into_the_middle(
            self._stream.draw(self._shape), self._varied(self._new(self._seed).draw(shape))
        )

    def _varied(self, noise: Tensor) -> Tensor:
        if self._variation is None:
            return noise
        return slerp(
            noise, self._new(self._variation.subseed).draw(tuple(noise.shape)), self._variation.strength
        )


def slerp(one: Tensor, other: Tensor, share: float) -> Tensor:
    """Along the great circle between the columns of two latents, which keeps their variance; A1111's reading of it."""
    unit, other_unit = (noise / noise.norm(dim=1, keepdim=True) for noise in (one, other))
    cosine = (unit * other_unit).sum(dim=1, keepdim=True).clamp(-1, 1)
    flat = torch.lerp(one, other, share)
    if cosine.mean() > PARALLEL:
        return flat
    angle = torch.acos(cosine)
    round_ = (torch.sin((1 - share) * angle) * one + torch.sin(share * angle) * other) / torch.sin(angle)
    return torch.where(torch.sin(angle) > 1e-6, round_, flat)


def _set_into_the_middle(ground: Tensor, noise: Tensor) -> Tensor:
    """Over the ground's middle; of noise larger than the ground, its own middle."""
    there, here = zip(*(_overlap(ground.shape[axis], noise.shape[axis]) for axis in (1, 2)), strict=True)
    ground[:, there[0], there[1]] = noise[:, here[0], here[1]]
    return ground


def _overlap(ground: int, noise: int) -> tuple[slice, slice]:
    offset = (ground - noise) // 2
    length = noise + 2 * min(offset, 0)
    return slice(max(offset, 0), max(offset, 0) + length), slice(max(-offset, 0), max(-offset, 0) + length)
