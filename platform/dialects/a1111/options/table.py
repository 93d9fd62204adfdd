"""Options that clients read and write: A1111's defaults, and how each option is handled."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Any, NamedTuple

from dialects.a1111.schema.coercion import boolean, integer, number, string, strings

from .stock_table import UNSUPPORTED, UNUSED


class Effect(Enum):
    HONORED = auto()
    HARMLESS = auto()  # stored and returned; no image depends on it
    FIXED = auto()  # images would depend on it: only values that match the behavior are accepted
    READ_ONLY = auto()  # writes are silently ignored, as in the original


HONORED, HARMLESS, FIXED, READ_ONLY = Effect


class Option(NamedTuple):
    default: Any
    effect: Effect
    same: tuple[Any, ...] = ()  # other accepted values that match the behavior

    def coerce(self, value: Any) -> Any:
        """Convert a value to the type of the default. None is replaced by the default."""
        if value is None:
            return self.default
        return COERCIONS[type(self.default)](value)

    def rendered(self, value: Any) -> Any:
        """Return the value as A1111 serializes it: options with a nonzero integer default are floats."""
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
    "sd_model_checkpoint": Option(None, HONORED),
    "sd_checkpoint_hash": Option("", READ_ONLY),
    "sd_vae": Option("Automatic", HONORED),
    "CLIP_stop_at_last_layers": Option(1, HONORED),
    "samples_format": Option("png", HONORED),
    "samples_save": Option(True, HARMLESS),
    "jpeg_quality": Option(80, HONORED),
    "send_seed": Option(True, HARMLESS),
    "send_size": Option(True, HARMLESS),
    "enable_pnginfo": Option(True, HONORED),
    "return_grid": Option(True, HONORED),
    "grid_save": Option(True, HARMLESS),
    "grid_only_if_multiple": Option(True, HONORED),
    "grid_prevent_empty_spots": Option(False, HONORED),
    "n_rows": Option(-1, HONORED),
    "return_mask": Option(False, HONORED),
    "return_mask_composite": Option(False, HONORED),
    "face_restoration": Option(False, HONORED),
    "face_restoration_model": Option(
        "GFPGAN", HONORED
    ),  # the original's CodeFormer is not licensed for commercial use
    "code_former_weight": Option(0.5, HARMLESS),
    "upscaler_for_img2img": Option(None, HONORED),
    "initial_noise_multiplier": Option(1.0, HONORED),
    "img2img_fix_steps": Option(False, HONORED),
    "img2img_color_correction": Option(False, HONORED),
    "img2img_background_color": Option("#ffffff", HONORED),
    "inpainting_mask_weight": Option(1.0, HONORED),
    "overlay_inpaint": Option(True, HONORED),
    "eta_ddim": Option(0.0, HONORED),
    "eta_ancestral": Option(1.0, HONORED),
    "eta_noise_seed_delta": Option(0, HONORED),
    "s_churn": Option(0.0, HONORED),
    "s_tmin": Option(0.0, HONORED),
    "s_tmax": Option(0.0, HONORED),
    "s_noise": Option(1.0, HONORED),
    "s_min_uncond": Option(0.0, HONORED),
    "uni_pc_variant": Option("bh1", HONORED),
    "uni_pc_skip_type": Option("time_uniform", HONORED),
    "uni_pc_order": Option(3, HONORED),
    "uni_pc_lower_order_final": Option(True, HONORED),
    "sigma_min": Option(0.0, HONORED),
    "sigma_max": Option(0.0, HONORED),
    "rho": Option(0.0, HONORED),
    "beta_dist_alpha": Option(0.6, HONORED),
    "beta_dist_beta": Option(0.6, HONORED),
    "always_discard_next_to_last_sigma": Option(False, HONORED),
    "sgm_noise_multiplier": Option(False, HONORED),
    "randn_source": Option("GPU", HONORED),
    "emphasis": Option("Original", HONORED),
    "comma_padding_backtrack": Option(20, HONORED),
    "enable_prompt_comments": Option(True, HONORED),
    "tiling": Option(False, HONORED),
    "show_progress_every_n_steps": Option(10, HONORED),
    "show_progress_type": Option("Approx NN", HARMLESS),
    "live_previews_enable": Option(True, HONORED),
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
    "interrogate_deepbooru_score_threshold": Option(0.5, HONORED),
    "interrogate_return_ranks": Option(False, HONORED),
    "deepbooru_sort_alpha": Option(True, HONORED),
    "deepbooru_use_spaces": Option(True, HONORED),
    "deepbooru_escape": Option(True, HONORED),
    "deepbooru_filter_tags": Option("", HONORED),
    "sd_lora": Option("None", FIXED),
    "lora_preferred_name": Option("Alias from file", HARMLESS),
    "lora_add_hashes_to_infotext": Option(True, HARMLESS),
    "disable_weights_auto_swap": Option(True, HONORED),
    "control_net_unit_count": Option(3, HONORED),
    "control_net_no_detectmap": Option(False, HONORED),
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
OPTIONS |= {name: Option(default, FIXED) for name, default in UNSUPPORTED.items()}
