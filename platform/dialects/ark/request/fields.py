"""Fields of ``POST /api/v3/images/generations``, with the vendor's names."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gpu_runner.protocol import MAX_SEED

MAX_INPUT_IMAGES = 14
MAX_OUTPUT_IMAGES = 15
DEFAULT_OUTPUT_IMAGES = 4

ImageText = Annotated[str, Field(min_length=1)]


class Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SequentialOptions(Fields):
    max_images: int | None = Field(default=None, ge=1, le=MAX_OUTPUT_IMAGES)


class OptimizePromptOptions(Fields):
    mode: Literal["standard", "fast"] | None = None
    thinking: Literal["auto", "disabled"] | None = None  # of the older SDK


class ImageRequest(Fields):
    """Unknown fields are refused: a setting without effect must not look as if it had one."""

    model: str = Field(min_length=1, max_length=255)
    prompt: str = Field(min_length=1, max_length=20_000)
    image: ImageText | list[ImageText] | None = None
    size: str | None = Field(default=None, max_length=20)
    seed: int = Field(default=-1, ge=-1, le=MAX_SEED)
    guidance_scale: float | None = Field(default=None, ge=0, le=100, allow_inf_nan=False)
    image_guidance_scale: float | None = Field(default=None, ge=0, le=100, allow_inf_nan=False)
    sequential_image_generation: Literal["auto", "disabled"] = "disabled"
    sequential_image_generation_options: SequentialOptions = SequentialOptions()
    response_format: Literal["url", "b64_json"] = "url"
    output_format: Literal["jpeg", "png"] | None = None
    watermark: bool | None = None
    optimize_prompt: bool | None = None  # of the older SDK
    optimize_prompt_options: OptimizePromptOptions = OptimizePromptOptions()
    background: Literal["opaque", "transparent"] = "opaque"
    tools: list[Any] = []
    stream: bool = False
    layer_decomposition: bool = False

    @property
    def image_texts(self) -> list[str]:
        """URLs or data URIs of the input images."""
        return [self.image] if isinstance(self.image, str) else list(self.image or ())

    @property
    def optimizes_prompt(self) -> bool | None:
        """Whether the prompt is to be optimized; None if the request does not say."""
        return True if self.optimize_prompt_options.mode is not None else self.optimize_prompt

    @property
    def num_images(self) -> int:
        if self.sequential_image_generation == "disabled":
            return 1
        return self.sequential_image_generation_options.max_images or DEFAULT_OUTPUT_IMAGES
