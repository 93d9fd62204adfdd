"""Reference images of one output: those that a transformer reads beside the latent, as for editing by instruction."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gpu_runner.imaging.scaled_image import ScaledImage
from gpu_runner.networks.conditioning import PromptImage
from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.networks.operations import EncodeImage, Operation
from gpu_runner.protocol import GenerationRequest

from .init_image import Canvas


@dataclass(frozen=True, eq=False)
class ReferenceImages:
    """``images``: in the order in which a prompt may count them."""

    model: LoadedCheckpoint
    images: tuple[ScaledImage, ...]
    output_pixels: int

    @classmethod
    def of(
        cls,
        model: LoadedCheckpoint,
        request: GenerationRequest,
        canvas: Canvas | None,
        others: Sequence[ScaledImage],
    ) -> ReferenceImages:
        """The init image is the first one. Families that read no images have none."""
        images: tuple[ScaledImage, ...] = ()
        if model.facts.references is not None:
            own = () if canvas is None else (canvas.reference(starts_from_noise=request.strength == 1),)
            images = (*own, *others)
        return cls(model, images, request.width * request.height)

    def for_text_encoder(self) -> tuple[PromptImage, ...]:
        references = self.model.facts.references
        if references is None or not references.vision_area:
            return ()
        sized = ((image, references.vision_sizes(*image.image.size)) for image in self.images)
        return tuple(PromptImage(image.digest(*sizes), image.pixels(*sizes)) for image, sizes in sized)

    def latents(
        self, canvas: Canvas | None, latent: Tensor | None
    ) -> Generator[Operation, Any, tuple[Tensor, ...]]:
        """Encode the images. ``latent``: that of the canvas, which is not encoded again for the same pixels."""
        references = self.model.facts.references
        found: list[Tensor] = []
        for image in self.images if references else ():
            assert references is not None
            pixels = image.pixels(references.size(*image.image.size, self.output_pixels))
            if canvas is not None and canvas.mask is None and latent is not None:
                is_canvas = image.image is canvas.frame and pixels.shape == canvas.pixels.shape
                if is_canvas and latent.shape[-1] * self.model.facts.latents.scale == pixels.shape[-1]:
                    found.append(latent)
                    continue
            found.append((yield EncodeImage(self.model, pixels)))
        return tuple(found)
