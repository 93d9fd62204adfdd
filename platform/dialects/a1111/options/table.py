"""The options that clients read and write, with A1111's defaults, and what each one does here."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Any, NamedTuple

from dialects.a1111.schema.coercion import boolean, integer, number, string, strings

from .stock_table import NOT_TAKEN, UNUSED


class Effect(Enum):
    HONOURED = auto()
    HARMLESS = auto()  # kept and given back; no picture depends on it
    FIXED = auto()  # pictures would depend on it: only what is done anyway is accepted
    READ_ONLY = auto()  # ignored without a word when written, as the original does


HONOURED, HARMLESS, FIXED, READ_ONLY = Effect


class Option(NamedTuple):
    default: Any
    effect: Effect
    same: tuple[Any, ...] = ()  # other values that mean what is done anyway

    def coerce(self, value: Any) -> Any:
        """None stands for the default, which is what the original makes of it for the options that take it."""
        if value is None:
            return self.default
        return COERCIONS[type(self.default)](value)

    def rendered(self, value: Any) -> Any:
        """Options whose default is a whole number other than zero come back as floats."""
        counts = isinstance(self.default, int) and not isinstance(self.default, bool) and self.default
        return float(value) if counts else value


COERCIONS: dict[type, Callable[[Any], Any]] = {
    bool: boolean,
    int: integer,
    float: number,
    str: string,
    list: strings,
    type(None): string,
}

OPTIONS: dict[str, Option] = {
    "sd_model_checkpoint": Option(None, HONOURED),
    "sd_checkpoint_hash": Option("", READ_ONLY),
    "sd_vae": Option("Automatic", HONOURED),
    "CLIP_stop_at_last_layers": Option(1, HONOURED),
    "samples_format": Option("png", HONOURED),
    "samples_save": Option(True, HARMLESS),
    "jpeg_quality": Option(80, HONOURED),
    "send_seed": Option(True, HARMLESS),
    "send_size": Option(True, HARMLESS),
    "enable_pnginfo": Option(True, HONOURED),
    "return_grid": Option(True, HONOURED),
    "grid_save": Option(True, HARMLESS),
    "grid_only_if_multiple": Option(True, HONOURED),
    "grid_prevent_empty_spots": Option(False, HONOURED),
    "n_rows": Option(-1, HONOURED),
    "return_mask": Option(False, HONOURED),
    "return_mask_composite": Option(False, HONOURED),
    "face_restoration": Option(False, HONOURED),
    "face_restoration_model": Option(
        "GFPGAN", HONOURED
    ),  # the original's CodeFormer is not for commercial use
    "code_former_weight": Option(0.5, HARMLESS),
    "upscaler_for_img2img": Option(None, HONOURED),
    "initial_noise_multiplier": Option(1.0, HONOURED),
    "img2img_fix_steps": Option(False, HONOURED),
    "img2img_color_correction": Option(False, HONOURED),
    "img2img_background_color": Option("#ffffff", HONOURED),
    "inpainting_mask_weight": Option(1.0, HONOURED),
    "overlay_inpaint": Option(True, HONOURED),
    "eta_ddim": Option(0.0, HONOURED),
    "eta_ancestral": Option(1.0, HONOURED),
    "eta_noise_seed_delta": Option(0, HONOURED),
    "s_churn": Option(0.0, HONOURED),
    "s_tmin": Option(0.0, HONOURED),
    "s_tmax": Option(0.0, HONOURED),
    "s_noise": Option(1.0, HONOURED),
    "s_min_uncond": Option(0.0, HONOURED),
    "uni_pc_variant": Option("bh1", HONOURED),
    "uni_pc_skip_type": Option("time_uniform", HONOURED),
    "uni_pc_order": Option(3, HONOURED),
    "uni_pc_lower_order_final": Option(True, HONOURED),
    "sigma_min": Option(0.0, HONOURED),
    "sigma_max": Option(0.0, HONOURED),
    "rho": Option(0.0, HONOURED),
    "beta_dist_alpha": Option(0.6, HONOURED),
    "beta_dist_beta": Option(0.6, HONOURED),
    "always_discard_next_to_last_sigma": Option(False, HONOURED),
    "sgm_noise_multiplier": Option(False, HONOURED),
    "randn_source": Option("GPU", HONOURED),
    "emphasis": Option("Original", HONOURED),
    "comma_padding_backtrack": Option(20, HONOURED),
    "enable_prompt_comments": Option(True, HONOURED),
    "tiling": Option(False, HONOURED),
    "show_progress_every_n_steps": Option(10, HONOURED),
    "show_progress_type": Option("Approx NN", HARMLESS),
    "live_previews_enable": Option(True, HONOURED),
    "live_previews_image_format": Option("png", HARMLESS),
    "token_merging_ratio": Option(0.0, FIXED),
    "token_merging_ratio_img2img": Option(0.0, FIXED),
    "token_merging_ratio_hr": Option(0.0, FIXED),
    "sd_checkpoints_limit": Option(1, HARMLESS),
    "sd_checkpoint_cache": Option(0, HARMLESS),
    "interrogate_clip_num_beams": Option(1, HARMLESS),
    "interrogate_clip_min_length": Option(24, HARMLESS),
    "interrogate_clip_max_length": Option(48, HARMLESS),
    "interrogate_clip_dict_limit": Option(1500, HARMLESS),
    "interrogate_clip_skip_categories": Option([], HARMLESS),
    "interrogate_deepbooru_score_threshold": Option(0.5, HARMLESS),
    "sd_lora": Option("None", FIXED),
    "lora_preferred_name": Option("Alias from file", HARMLESS),
    "lora_add_hashes_to_infotext": Option(True, HARMLESS),
    "disable_weights_auto_swap": Option(True, HONOURED),
    "control_net_unit_count": Option(3, HONOURED),
    "control_net_no_detectmap": Option(False, HONOURED),
    "control_net_model_cache_size": Option(2, HARMLESS),
    "outdir_samples": Option("", READ_ONLY),
    "outdir_txt2img_samples": Option("", READ_ONLY),
    "outdir_img2img_samples": Option("", READ_ONLY),
    "outdir_extras_samples": Option("", READ_ONLY),
    "outdir_grids": Option("", READ_ONLY),
    "outdir_txt2img_grids": Option("", READ_ONLY),
    "outdir_img2img_grids": Option("", READ_ONLY),
    "outdir_save": Option("", READ_ONLY),
    "outdir_init_images": Option("", READ_ONLY),
    "api_enable_requests": Option(True, READ_ONLY),
    "api_forbid_local_requests": Option(True, READ_ONLY),
    "api_useragent": Option("", READ_ONLY),
}

OPTIONS |= {name: Option(default, HARMLESS) for name, default in UNUSED.items()}
OPTIONS |= {name: Option(default, FIXED) for name, default in NOT_TAKEN.items()}
