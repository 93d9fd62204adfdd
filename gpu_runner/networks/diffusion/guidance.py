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

CONTROLNET_COST = 0.4  # cost relative to the UNet; a ControlNet is a copy of its encoder half


@dataclass(frozen=True, eq=False)
class Guidance:
    """Classifier-free guidance of one image: weighted positive conditionings and a negative one.

    With ``image_scale``, also guidance by the init image: the rows of the texts see it, and one more row of the negative
    text does not. Brooks et al. 2023, InstructPix2Pix, equation 3.
    """

    positives: tuple[tuple[Conditioning, float], ...]
    negative: Conditioning
    scale: float
    returns_unguided: bool = False  # return GuidedAndUnguided instead of a Tensor
    image_scale: float | None = None
    embedded: float | None = None  # guidance value that the denoiser itself reads; ``scale`` is 1 then

    @cached_property
    def weights(self) -> tuple[float, ...]:
        """Weights of the rows, negative last; they sum to 1.

        Liu et al. 2022, Compositional Visual Generation with Composable Diffusion Models, equation 11.
        """
        positives = tuple(self.scale * weight for _text, weight in self.positives)
        if self.image_scale is None:
            return (*positives, 1 - sum(positives))
        return (*positives, self.image_scale - sum(positives), 1 - self.image_scale)

    @cached_property
    def conditionings(self) -> tuple[Conditioning, ...]:
        """Conditionings of the batch rows. Last ones of weight 0 are skipped, unless ``returns_unguided`` is set."""
        positives = tuple(text for text, _weight in self.positives)
        rows = (*positives, *[self.negative] * (len(self.weights) - len(positives)))
        while not self.returns_unguided and len(rows) > len(positives) and self.weights[len(rows) - 1] == 0:
            rows = rows[:-1]
        return rows

    @property
    def rows_without_image(self) -> int:
        """Number of last rows that do not see the init image."""
        return int(self.image_scale is not None and len(self.conditionings) == len(self.weights))

    def without_negative(self) -> Guidance:
        """Return the guidance of a step without the negative prompt.

        The first positive prompt replaces it, as in A1111.
        """
        return replace(self, negative=self.positives[0][0], scale=1.0)

    def with_unguided(self, scale: float) -> Guidance:
        """Return a copy with another scale and ``returns_unguided`` set."""
        return replace(self, scale=scale, returns_unguided=True)

    @cached_property
    def length(self) -> int:
        """Number of tokens per row after padding to a common length."""
        return common_length([len(text.context) for text in self.conditionings])

    def contexts(self, length: int) -> list[Tensor]:
        """Return one context per row, each of ``length`` tokens.

        ``length`` must be a multiple of this guidance's own length.
        """
        return [repeated(context, length // self.length) for context in self._own_contexts]

    @cached_property
    def _own_contexts(self) -> list[Tensor]:
        return pad_to_same_length([text.context for text in self.conditionings])

    def combine(self, rows: Sequence[Tensor]) -> Tensor:
        """Combine the UNet outputs of all rows into the guided prediction.

        The weights sum to 1, so the result is the last row plus weighted differences from it.
        """
        origin = rows[-1]
        return sum(
            ((row - origin) * weight for row, weight in zip(rows[:-1], self.weights, strict=False)), origin
        )


class GuidedAndUnguided(NamedTuple):
    """The guided x0 prediction, and the prediction for the negative prompt alone."""

    denoised: Tensor
    unguided: Tensor


@dataclass(frozen=True, eq=False)
class DenoiseInput:
    """Input of one denoising call: predict x0 from ``x`` at noise level ``sigma``."""

    x: Tensor  # (c, h, w) float32, in sigma space; of a flow, between the image at sigma 0 and noise at 1
    sigma: float
    timestep: float
    guidance: Guidance
    # Additional channels: (5, h, w) of inpainting checkpoints, (4, h, w) of InstructPix2Pix checkpoints.
    extra: Tensor | None = None
    controls: tuple[ControlNetInput, ...] = ()
    reference: Reference | None = None
    references: tuple[Tensor, ...] = ()  # latents of images that a transformer sees beside x, of any sizes

    @property
    def area(self) -> int:
        """Latent pixels of one row, those of its references included."""
        return sum(latent.shape[-2] * latent.shape[-1] for latent in (self.x, *self.references))

    @property
    def rows(self) -> int:
        return len(self.guidance.conditionings)

    @property
    def total_rows(self) -> int:
        """Batch rows used: its conditionings plus its reference images."""
        return self.rows * (1 if self.reference is None else 2)

    @property
    def cost(self) -> float:
        """Cost in UNet rows, including ControlNets."""
        seen = self.area / (self.x.shape[-2] * self.x.shape[-1])
        return self.total_rows * seen + self.rows * CONTROLNET_COST * len(self.controls)
