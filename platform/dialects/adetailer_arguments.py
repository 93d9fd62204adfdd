"""Arguments of the A1111 extension ADetailer (v25.3), which two dialects accept.

Names, defaults and bounds are those of the extension. It drops a unit with an invalid field; here that is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

from django.utils.translation import gettext as _
from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

SCRIPT = "adetailer"
NO_MODEL = (None, "", "None")
SAME_SCHEDULER = "Use same scheduler"

Path = tuple[str | int, ...]  # of a value in the arguments: index of the unit, and its field


def _text(value: Any) -> Any:
    return "" if value is None else value


Text = Annotated[str, Field(max_length=20_000), BeforeValidator(_text)]
Name = Annotated[str, Field(max_length=255), BeforeValidator(_text)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Unit(BaseModel):
    """One unit of the extension."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    ad_model: Name = "None"
    ad_model_classes: Text = ""
    ad_tab_enable: bool = Field(default=True, validation_alias=AliasChoices("ad_tab_enable", "ad_tap_enable"))
    ad_prompt: Text = ""
    ad_negative_prompt: Text = ""
    ad_confidence: Share = 0.3
    ad_mask_filter_method: Literal["Area", "Confidence"] = "Area"
    ad_mask_k: int = Field(default=0, ge=0, validation_alias=AliasChoices("ad_mask_k", "ad_mask_k_largest"))
    ad_mask_min_ratio: Share = 0.0
    ad_mask_max_ratio: Share = 1.0
    ad_dilate_erode: int = Field(default=4, ge=-1024, le=1024)
    ad_x_offset: int = Field(default=0, ge=-4096, le=4096)
    ad_y_offset: int = Field(default=0, ge=-4096, le=4096)
    ad_mask_merge_invert: Literal["None", "Merge", "Merge and Invert"] = "None"
    ad_mask_blur: int = Field(default=4, ge=0, le=512)
    ad_denoising_strength: Share = 0.4
    ad_inpaint_only_masked: bool = Field(
        default=True, validation_alias=AliasChoices("ad_inpaint_only_masked", "ad_inpaint_full_res")
    )
    ad_inpaint_only_masked_padding: int = Field(
        default=32,
        ge=0,
        le=4096,
        validation_alias=AliasChoices("ad_inpaint_only_masked_padding", "ad_inpaint_full_res_padding"),
    )
    ad_use_inpaint_width_height: bool = False
    ad_inpaint_width: int = Field(default=512, ge=48, le=4096)
    ad_inpaint_height: int = Field(default=512, ge=48, le=4096)
    ad_use_steps: bool = False
    ad_steps: int = Field(default=28, ge=1, le=500)
    ad_use_cfg_scale: bool = False
    ad_cfg_scale: float = Field(default=7.0, ge=0, le=100, allow_inf_nan=False)
    ad_use_checkpoint: bool = False
    ad_checkpoint: Name = ""
    ad_use_vae: bool = False
    ad_vae: Name = ""
    ad_use_sampler: bool = False
    ad_sampler: Name = "DPM++ 2M Karras"
    ad_scheduler: Name = SAME_SCHEDULER
    ad_use_noise_multiplier: bool = False
    ad_noise_multiplier: float = Field(default=1.0, ge=0.5, le=1.5)
    ad_use_clip_skip: bool = False
    ad_clip_skip: int = Field(default=1, ge=1, le=12)
    ad_restore_face: bool = False
    ad_controlnet_model: Name = "None"
    ad_controlnet_module: Name = "None"
    ad_controlnet_weight: Share = 1.0
    ad_controlnet_guidance_start: Share = 0.0
    ad_controlnet_guidance_end: Share = 1.0
    is_api: Any = True  # a mark of the extension's page, without effect


class InvalidUnit(Exception):
    """A value that cannot be used."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


class Arguments(NamedTuple):
    """Arguments of the script: the second switch, and the units that have an effect by their index."""

    skip_img2img: bool
    units: dict[int, Unit]


def read_arguments(arguments: Sequence[Any]) -> Arguments:
    """Parse ``args``: two optional switches, then one object per unit. What is switched off is not validated.

    Raises InvalidUnit.
    """
    for index, argument in enumerate(arguments):
        if not isinstance(argument, dict) and not (isinstance(argument, bool) and index < 2):
            raise InvalidUnit(
                (index,), _("must be an object (a unit), or one of the two switches before the units")
            )
    if arguments and arguments[0] is False:
        return Arguments(False, {})
    units = {
        index: _unit(index, argument)
        for index, argument in enumerate(arguments)
        if isinstance(argument, dict) and not is_off(argument)
    }
    return Arguments(len(arguments) > 1 and arguments[1] is True, units)


def is_off(unit: dict[str, Any]) -> bool:
    """Whether a unit has no effect: without a model, or with its tab switched off."""
    return unit.get("ad_model") in NO_MODEL or unit.get("ad_tab_enable", unit.get("ad_tap_enable")) is False


def _unit(index: int, given: dict[str, Any]) -> Unit:
    try:
        return Unit.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise InvalidUnit((index, *first["loc"]), first["msg"]) from None
