"""Fields of the two generation requests: names, types and defaults of A1111 v1.10.1."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

from dialects.a1111.errors import Invalid, InvalidItems, Unprocessable

from .coercion import Coercion, array, boolean, integer, mapping, not_null, number, string, strings


class Field(NamedTuple):
    coerce: Coercion
    default: Any = None
    nullable: bool = True

    def read(self, value: Any) -> Any:
        if value is None and self.nullable:
            return None
        return self.coerce(not_null(value))


COMMON: dict[str, Field] = {
    "prompt": Field(string, ""),
    "negative_prompt": Field(string, ""),
    "styles": Field(strings),
    "seed": Field(integer, -1),
    "subseed": Field(integer, -1),
    "subseed_strength": Field(number, 0.0),
    "seed_resize_from_h": Field(integer, -1),
    "seed_resize_from_w": Field(integer, -1),
    "sampler_name": Field(string),
    "scheduler": Field(string),
    "batch_size": Field(integer, 1),
    "n_iter": Field(integer, 1),
    "steps": Field(integer, 50),
    "cfg_scale": Field(number, 7.0),
    "width": Field(integer, 512),
    "height": Field(integer, 512),
    "restore_faces": Field(boolean),
    "tiling": Field(boolean),
    "do_not_save_samples": Field(boolean, False),
    "do_not_save_grid": Field(boolean, False),
    "eta": Field(number),
    "denoising_strength": Field(number),
    "s_min_uncond": Field(number),
    "s_churn": Field(number),
    "s_tmax": Field(number),
    "s_tmin": Field(number),
    "s_noise": Field(number),
    "override_settings": Field(mapping),
    "override_settings_restore_afterwards": Field(boolean, True),
    "refiner_checkpoint": Field(string),
    "refiner_switch_at": Field(number),
    "disable_extra_networks": Field(boolean, False),
    "firstpass_image": Field(string),
    "comments": Field(mapping),
}

CLOSING: dict[str, Field] = {
    "force_task_id": Field(string),
    "sampler_index": Field(string, "Euler", nullable=False),
    "script_name": Field(string),
    "script_args": Field(array, [], nullable=False),
    "send_images": Field(boolean, True, nullable=False),
    "save_images": Field(boolean, False, nullable=False),
    "alwayson_scripts": Field(mapping, {}, nullable=False),
    "infotext": Field(string),
}

TXT2IMG: dict[str, Field] = {
    **COMMON,
    "enable_hr": Field(boolean, False),
    "firstphase_width": Field(integer, 0),
    "firstphase_height": Field(integer, 0),
    "hr_scale": Field(number, 2.0),
    "hr_upscaler": Field(string),
    "hr_second_pass_steps": Field(integer, 0),
    "hr_resize_x": Field(integer, 0),
    "hr_resize_y": Field(integer, 0),
    "hr_checkpoint_name": Field(string),
    "hr_sampler_name": Field(string),
    "hr_scheduler": Field(string),
    "hr_prompt": Field(string, ""),
    "hr_negative_prompt": Field(string, ""),
    **CLOSING,
}

IMG2IMG: dict[str, Field] = {
    **COMMON,
    "init_images": Field(array),
    "resize_mode": Field(integer, 0),
    "image_cfg_scale": Field(number),
    "mask": Field(string),
    "mask_blur_x": Field(integer, 4),
    "mask_blur_y": Field(integer, 4),
    "mask_blur": Field(integer),
    "mask_round": Field(boolean, True),
    "inpainting_fill": Field(integer, 0),
    "inpaint_full_res": Field(boolean, True),
    "inpaint_full_res_padding": Field(integer, 0),
    "inpainting_mask_invert": Field(integer, 0),
    "initial_noise_multiplier": Field(number),
    "latent_mask": Field(string),
    **CLOSING,
    "denoising_strength": Field(number, 0.75, nullable=False),
    "include_init_images": Field(boolean, False, nullable=False),
}


def parse(fields: Mapping[str, Field], body: Mapping[str, Any]) -> dict[str, Any]:
    """Parse every field, with its default if absent. Unknown fields are dropped.

    Raises Unprocessable with all errors found.
    """
    read: dict[str, Any] = {}
    errors: list[dict[str, Any]] = []
    for name, field in fields.items():
        try:
            read[name] = field.read(body[name]) if name in body else copy.copy(field.default)
        except Invalid as error:
            errors.append(error.at(("body", name)))
        except InvalidItems as error:
            errors.extend(error.at(("body", name)))
    if errors:
        raise Unprocessable(errors)
    return read
