"""Bodies of the routes, with the vendor's field names and spelling."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from gpu_runner.protocol import MAX_SEED

from .coercion import Channel, Flag, Integer, List, Number, Object, Text

URL = Annotated[Text, Field(min_length=1, max_length=2000)]
Prompt = Annotated[Text, Field(max_length=20_000)]
Name = Annotated[Text, Field(min_length=1, max_length=255)]
NO_CALLBACK = -1
MAX_TASK_ID = 2**63 - 1
DEFAULT_NEGATIVE_PROMPT = (
    "worst quality, low quality, blurry, watermark, signature, text, nsfw, people, hands, "
    "deformed, folds, wrinkles, white border, grayscale, monochrome"
)


class UploadConfig(BaseModel):
    """``upload_img_config``: the storage target that outputs are copied to."""

    model_config = ConfigDict(frozen=True)

    channel: Channel
    type: Literal["public", "private"] = "public"
    oper: Annotated[Text, Field(max_length=200)] = ""  # name of the operator; stored with the job
    public_host: Flag = False  # return URLs of the target's public host instead of the storage's own


class Fields(BaseModel):
    """Fields of every route. Unknown fields are ignored, as in the original API."""

    model_config = ConfigDict(frozen=True)

    sender: Annotated[Text, Field(alias="from", max_length=64)] = ""
    upload_img_config: Annotated[UploadConfig | None, Object] = None


class CutOutFields(Fields):
    """Body of rembg_img."""

    img_url: URL
    model: Annotated[Text, Field(max_length=255)] = ""
    is_mask: Flag = False


class ChangeBackgroundFields(Fields):
    """Body of change_background."""

    img_url: URL
    prompt: Annotated[Prompt, Field(min_length=1)]
    mask_url: URL | None = None
    negative_prompt: Prompt = DEFAULT_NEGATIVE_PROMPT
    is_remove_bg: Flag = True
    width: Annotated[Integer, Field(ge=0, le=4096)] = 0
    height: Annotated[Integer, Field(ge=0, le=4096)] = 0
    is_controlnet: Flag = True
    control_model: Annotated[Text, Field(max_length=255)] = ""
    batch_size: Annotated[Integer, Field(ge=1, le=256)] = 1
    mast_expend_num: Annotated[Integer, Field(ge=-256, le=256)] = -2
    sd_model_checkpoint: Annotated[Text, Field(max_length=255)] = ""
    sd_lora_name: Annotated[tuple[Name, ...], List, Field(max_length=32)] = ()
    sd_lora_weight: Annotated[
        tuple[Annotated[Number, Field(ge=-10, le=10)], ...], List, Field(max_length=32)
    ] = ()
    api_type: Literal["pipeline", "comfyui"] = "pipeline"
    callback_url: URL | None = None
    taskid: Annotated[Integer, Field(ge=-MAX_TASK_ID, le=MAX_TASK_ID)] = NO_CALLBACK
    steps: Annotated[Integer, Field(ge=1, le=500)] = 25
    seed: Annotated[Integer, Field(ge=-1, le=MAX_SEED)] = -1  # an extension: the vendor has no seed

    @model_validator(mode="after")
    def has_a_weight_for_each_lora(self) -> ChangeBackgroundFields:
        if len(self.sd_lora_name) != len(self.sd_lora_weight):
            raise PydanticCustomError("lengths", "sd_lora_name and sd_lora_weight must have the same length")
        return self

    @property
    def requires_control(self) -> bool:
        """Whether a ControlNet is requested explicitly, and not only by the default of ``is_controlnet``."""
        return self.is_controlnet and bool(self.control_model or "is_controlnet" in self.model_fields_set)

    @property
    def calls_back(self) -> bool:
        """Whether the result is sent to ``callback_url`` instead of being waited for."""
        return bool(self.callback_url) and self.taskid != NO_CALLBACK
