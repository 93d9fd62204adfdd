"""Finds the diffusion transformer in a file, whatever its layout and prefix. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from .flux1 import CHROMA, FLUX1
from .flux2 import FLUX2
from .key_map import Conversion, Shapes, convert
from .qwen_image import QWEN_IMAGE
from .sd3 import SD3
from .transformer import Config, Transformer
from .z_image import Z_IMAGE

# Chroma precedes FLUX.1, from which it was made.
TRANSFORMERS = (SD3, Z_IMAGE, CHROMA, FLUX1, FLUX2, QWEN_IMAGE)
PREFIXES = ("", "model.diffusion_model.", "diffusion_model.", "transformer.", "model.")

Layout = Literal["original", "diffusers"]


@dataclass(frozen=True)
class FoundTransformer:
    """A transformer in a file: its family, the prefix of its names, and their layout."""

    transformer: Transformer
    prefix: str
    layout: Layout
    file_shapes: Shapes

    @cached_property
    def conversion(self) -> Conversion:
        """Where the tensors of diffusers are in the file. Raises ValueError."""
        return convert(self.transformer.key_map, self._of_network(), self.prefix, self.layout)

    @property
    def own_shapes(self) -> Shapes:
        """Shapes under the names of the file, without prefix."""
        return {name.removeprefix(self.prefix): shape for name, shape in self._of_network().items()}

    def config(self) -> Config:
        """Arguments of the class of diffusers. Raises ValueError."""
        return self.transformer.config(self.conversion.shapes)

    def context_width(self) -> int:
        """Width of the states of the text encoder. Raises ValueError."""
        shape = self.conversion.shapes.get(self.transformer.context, ())
        if len(shape) != 2:
            raise ValueError(f"missing tensor {self.transformer.context}")
        return shape[1]

    def width(self) -> int:
        """Width of the blocks, to which the states of the text encoder are projected. Raises ValueError."""
        self.context_width()
        return self.conversion.shapes[self.transformer.context][0]

    def _of_network(self) -> Shapes:
        """Without a prefix, a file may have other networks beside the transformer; their names begin like these."""
        if self.prefix:
            return {name: shape for name, shape in self.file_shapes.items() if name.startswith(self.prefix)}
        own = (name for name in self.file_shapes if not name.startswith(OTHER_NETWORKS))
        return {name: self.file_shapes[name] for name in own}


OTHER_NETWORKS = ("vae.", "first_stage_model.", "text_encoder", "cond_stage_model.", "conditioner.")


def find_transformer(shapes: Shapes) -> FoundTransformer | None:
    """Return the transformer of a file, or None."""
    return find_in(TRANSFORMERS, shapes)


def find_in(transformers: Sequence[Transformer], shapes: Shapes) -> FoundTransformer | None:
    """Return the first of the transformers that a file has, or None."""
    for transformer in transformers:
        for layout in ("diffusers", "original"):
            marks = transformer.marks.get(layout, ())
            for prefix in PREFIXES:
                if marks and all(f"{prefix}{mark}" in shapes for mark in marks):
                    return FoundTransformer(transformer, prefix, layout, shapes)
    return None
