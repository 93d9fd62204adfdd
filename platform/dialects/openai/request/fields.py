"""Fields of the requests, with the vendor's names. ``extra_body`` of the SDKs adds ours to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from gpu_runner.protocol import MAX_SEED

MAX_PROMPT = 32_000
MAX_IMAGES = 16
DEFAULT_QUALITY = "medium"

Quality = Literal["low", "medium", "high", "xhigh", "max"]
QUALITIES: dict[str, Quality] = {"auto": "medium", "standard": "medium", "hd": "high"}
STEP_FACTORS: dict[Quality, float] = {"low": 0.5, "medium": 1.0, "high": 1.5, "xhigh": 2.0, "max": 2.0}
FORMATS = ("png", "webp", "jpeg")


def _refuse(reason: str | Promise) -> Callable[[Any], None]:
    """A validator that refuses everything but null."""

    def refuse(value: Any) -> None:
        if value is not None:
            raise PydanticCustomError("unsupported", "{reason}", {"reason": str(reason)})

    return refuse


Unsupported = Annotated[Any, BeforeValidator(_refuse(gettext_lazy("not supported")))]
GifOnly = Annotated[Any, BeforeValidator(_refuse(gettext_lazy("only for gif, which is not supported")))]
SvgOnly = Annotated[Any, BeforeValidator(_refuse(gettext_lazy("svg is not supported")))]


def _known_format(value: str) -> str:
    if value not in FORMATS:
        reason = _("must be png, webp or jpeg; gif and svg are not supported")
        raise PydanticCustomError("unsupported", "{reason}", {"reason": reason})
    return value


def _url_of(value: Any) -> Any:
    """An image of a JSON body: a URL, a data URI or base64, also as ``{"image_url": ...}``."""
    if isinstance(value, dict) and value.keys() == {"image_url"}:
        return value["image_url"]
    if isinstance(value, dict) and "file_id" in value:
        raise PydanticCustomError("unsupported", "{reason}", {"reason": _("uploaded files have no id here")})
    return value


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


ImageText = Annotated[str, BeforeValidator(_url_of), Field(min_length=1)]
ImageList = Annotated[list[ImageText], BeforeValidator(_as_list), Field(min_length=1, max_length=MAX_IMAGES)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class LoraField(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=255)
    weight: Annotated[Number, Field(ge=-10, le=10)] = 1.0


class ImageFields(BaseModel):
    """What all three requests have in common. A field that is null counts as absent."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(default=None, max_length=255)
    n: int = Field(default=1, ge=1, le=10)
    size: str = Field(default="auto", max_length=32)
    quality: Literal["auto", "low", "medium", "high", "xhigh", "max", "standard", "hd"] = "auto"
    background: Literal["auto", "opaque", "transparent"] = "auto"
    output_format: Annotated[str, AfterValidator(_known_format)] = "png"
    output_compression: int | None = Field(default=None, ge=0, le=100)
    response_format: Literal["url", "b64_json"] | None = None
    stream: bool = False
    partial_images: int = Field(default=0, ge=0, le=3)
    moderation: Literal["low", "auto"] = "auto"
    style: Literal["vivid", "natural"] | None = None
    user: str = Field(default="", max_length=200)
    safety_identifier: str = Field(default="", max_length=200)
    complexity: Unsupported = None
    frame_count: GifOnly = None
    frame_duration_ms: GifOnly = None
    svg: SvgOnly = None
    # Ours.
    negative_prompt: str = Field(default="", max_length=MAX_PROMPT)
    seed: int | None = Field(default=None, ge=-1, le=MAX_SEED)
    steps: int | None = Field(default=None, ge=1, le=500)
    guidance_scale: Annotated[Number, Field(ge=0, le=100)] | None = None
    sampler: str = Field(default="", max_length=100)
    scheduler: str = Field(default="", max_length=100)
    loras: list[LoraField] = Field(default_factory=list, max_length=32)
    clip_skip: int | None = Field(default=None, ge=1, le=12)
    is_async: bool = Field(default=False, alias="async")

    @property
    def end_user(self) -> str:
        return self.safety_identifier or self.user

    @property
    def answered_quality(self) -> Quality:
        """The quality that was used, as answers name it."""
        return QUALITIES.get(self.quality) or self.quality  # type: ignore[return-value]


class GenerationFields(ImageFields):
    prompt: str = Field(min_length=1, max_length=MAX_PROMPT)


class EditFields(GenerationFields):
    # Of a JSON body; files of a form are beside the fields.
    image: ImageList | None = Field(default=None, validation_alias=AliasChoices("image", "images"))
    mask: ImageText | None = None
    input_fidelity: Literal["high", "low"] | None = None
    markup: Unsupported = None


class VariationFields(ImageFields):
    image: ImageList | None = None
