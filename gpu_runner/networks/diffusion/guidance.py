"""Classifier-free guidance and the input of one denoising call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from torch import Tensor

from gpu_runner.networks.conditioning import Conditioning, common_length, pad_to_same_length, repeated

from .controlnet import ControlNetInput
from .reference_attention import Reference

CONTROL_WORK = 0.4  # a ControlNet is the UNet's inward half


@dataclass(frozen=True, eq=False)
class Guidance:
    """What pulls a picture: towards some texts, each with its weight, away from the negative one."""

    positives: tuple[tuple[Conditioning, float], ...]
    negative: Conditioning
    scale: float
    apart: bool = False  # answer with an Apart

    @cached_property
    def pulls(self) -> tuple[float, ...]:
        """How strongly each text acts, the negative one last. Together they are 1.

        Liu et al. 2022, Compositional Visual Generation with Composable Diffusion Models, equation 11.
        """
        positives = tuple(self.scale * weight for _text, weight in self.positives)
        return (*positives, 1 - sum(positives))

    @cached_property
    def conditionings(self) -> tuple[Conditioning, ...]:
        """The texts that are rows of a call. A negative one without effect is none."""
        positives = tuple(text for text, _weight in self.positives)
        return positives if self.pulls[-1] == 0 and not self.apart else (*positives, self.negative)

    def unopposed(self) -> Guidance:
        """For a step without the negative text: the first text stands in its place, as in A1111."""
        return replace(self, negative=self.positives[0][0], scale=1.0)

    def apart_at(self, scale: float) -> Guidance:
        return replace(self, scale=scale, apart=True)

    @cached_property
    def length(self) -> int:
        """Tokens of each row, when they are padded to each other."""
        return common_length([len(text.context) for text in self.conditionings])

    def contexts(self, length: int) -> list[Tensor]:
        """One a row, all as long as that; a multiple of this guidance's own length."""
        return [repeated(context, length // self.length) for context in self._own_contexts]

    @cached_property
    def _own_contexts(self) -> list[Tensor]:
        return pad_to_same_length([text.context for text in self.conditionings])

    def combine(self, rows: Sequence[Tensor]) -> Tensor:
        """Because the pulls are 1 together, each of the others can be told as a way from the last row."""
        origin = rows[-1]
        return sum(((row - origin) * pull for row, pull in zip(rows[:-1], self.pulls, strict=False)), origin)


class GuidedAndUnguided(NamedTuple):
    """The estimate, and beside it the one of the negative text alone."""

    denoised: Tensor
    unguided: Tensor


@dataclass(frozen=True, eq=False)
class DenoiseInput:
    """What would be left of ``x`` without its noise of level ``sigma``?"""

    x: Tensor  # (4, h, w) float32, in sigma space
    sigma: float
    timestep: float
    guidance: Guidance
    extra: Tensor | None = None  # (5, h, w) for checkpoints made for inpainting, beside x
    pushes: tuple[ControlNetInput, ...] = ()
    reference: Reference | None = None

    @property
    def rows(self) -> int:
        return len(self.guidance.conditionings)

    @property
    def seats(self) -> int:
        """Rows that it takes in a call: its own, and those of what it looks at."""
        return self.rows * (1 if self.reference is None else 2)

    @property
    def work(self) -> float:
        """In rows of the UNet."""
        return self.seats + self.rows * CONTROL_WORK * len(self.pushes)
