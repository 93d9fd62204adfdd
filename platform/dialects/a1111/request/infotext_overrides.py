"""The request field ``infotext``: its values apply to every field that the client has not set."""

from __future__ import annotations

from typing import Any

from access.models import AccessKey
from dialects.a1111.errors import Invalid, Unprocessable
from dialects.a1111.options import options
from dialects.a1111.schema.coercion import string
from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from jobs.images.infotext.parser import parse_infotext, with_implied_values

Pairs = dict[str, Any]

FIELDS: dict[str, str] = {
    "Prompt": "prompt",
    "Negative prompt": "negative_prompt",
    "Steps": "steps",
    "CFG scale": "cfg_scale",
    "Distilled CFG Scale": "distilled_cfg_scale",  # written by Forge
    "Size-1": "width",
    "Size-2": "height",
    "Batch size": "batch_size",
    "Seed": "seed",
    "Variation seed": "subseed",
    "Variation seed strength": "subseed_strength",
    "Seed resize from-1": "seed_resize_from_w",
    "Seed resize from-2": "seed_resize_from_h",
    "Denoising strength": "denoising_strength",
    "Refiner": "refiner_checkpoint",
    "Refiner switch at": "refiner_switch_at",
}
TXT2IMG_FIELDS: dict[str, str] = {
    "Hires upscale": "hr_scale",
    "Hires upscaler": "hr_upscaler",
    "Hires steps": "hr_second_pass_steps",
    "Hires resize-1": "hr_resize_x",
    "Hires resize-2": "hr_resize_y",
    "Hires checkpoint": "hr_checkpoint_name",
    "Hires sampler": "hr_sampler_name",
    "Hires schedule type": "hr_scheduler",
    "Hires prompt": "hr_prompt",
    "Hires negative prompt": "hr_negative_prompt",
}
IMG2IMG_FIELDS: dict[str, str] = {
    "Mask blur": "mask_blur",
    "Mask blur x": "mask_blur_x",
    "Mask blur y": "mask_blur_y",
    "Masked area padding": "inpaint_full_res_padding",
    "Image CFG scale": "image_cfg_scale",
}
CONTENTS = ("fill", "original", "latent noise", "latent nothing")

# Infotext labels that are applied as override settings. _overrides handles labels that need conversion.
OVERRIDES: dict[str, str] = {
    "Clip skip": "CLIP_stop_at_last_layers",
    "ENSD": "eta_noise_seed_delta",
    "RNG": "randn_source",
    "VAE": "sd_vae",
    "Face restoration": "face_restoration_model",
    "Conditional mask weight": "inpainting_mask_weight",
    "Noise multiplier": "initial_noise_multiplier",
    "Extra noise": "img2img_extra_noise",
    "Eta": "eta_ancestral",
    "Eta DDIM": "eta_ddim",
    "Sigma churn": "s_churn",
    "Sigma tmin": "s_tmin",
    "Sigma tmax": "s_tmax",
    "Sigma noise": "s_noise",
    "NGMS": "s_min_uncond",
    "Schedule min sigma": "sigma_min",
    "Schedule max sigma": "sigma_max",
    "Schedule rho": "rho",
    "Beta schedule alpha": "beta_dist_alpha",
    "Beta schedule beta": "beta_dist_beta",
    "Discard penultimate sigma": "always_discard_next_to_last_sigma",
    "SGM noise multiplier": "sgm_noise_multiplier",
    "UniPC variant": "uni_pc_variant",
    "UniPC skip type": "uni_pc_skip_type",
    "UniPC order": "uni_pc_order",
    "UniPC lower order final": "uni_pc_lower_order_final",
    "Emphasis": "emphasis",
    "Tiling": "tiling",
    "Token merging ratio": "token_merging_ratio",
    "Token merging ratio hr": "token_merging_ratio_hr",
    "Noise Schedule": "sd_noise_schedule",
    "Pad conds": "pad_cond_uncond",
    "VAE Encoder": "sd_vae_encode_method",
    "VAE Decoder": "sd_vae_decode_method",
    "FP8 weight": "fp8_storage",
    "Refiner switch by sampling steps": "refiner_switch_by_sample_steps",
}
# Fields replaced by an infotext value, and the older names whose presence prevents it.
OLDER_NAMES = {
    "sampler_name": {"sampler_index"},
    "mask_blur": {"mask_blur_x", "mask_blur_y"},
    "mask_blur_x": {"mask_blur"},
    "mask_blur_y": {"mask_blur"},
    "width": {"firstphase_width"},
    "height": {"firstphase_height"},
}
# Labels that describe the image and set no parameter.
DESCRIPTIVE = frozenset(
    {"Model", "Model hash", "VAE hash", "Lora hashes", "TI hashes", "Init image hash", "Version", "User"}
)
CONVERTED = frozenset({"Sampler", "Schedule type", "Mask mode", "Masked content", "Inpaint area"})
KNOWN_LABELS = (
    FIELDS.keys() | TXT2IMG_FIELDS.keys() | IMG2IMG_FIELDS.keys() | OVERRIDES.keys() | DESCRIPTIVE | CONVERTED
)


def merge_infotext(operation: str, body: dict[str, Any], key: AccessKey) -> tuple[dict[str, Any], list[str]]:
    """Return the body with the infotext's values merged in, and the labels that are not supported."""
    text = _text(body)
    if not text:
        return body, []
    found = parse_infotext(text)
    pairs = with_implied_values(found)
    fields = {**_fields(pairs, operation), **_sampler_fields(found)}
    current = options.current(key)
    settings = {
        name: value
        for name, value in _overrides(pairs, found, current).items()
        if not _is_same_value(current[name], value)
    }
    given = body.get("override_settings")
    explicit = given if isinstance(given, dict) else {}
    merged = {name: value for name, value in fields.items() if not OLDER_NAMES.get(name, set()) & body.keys()}
    merged |= body
    if settings and isinstance(given, dict | None):
        merged["override_settings"] = {**settings, **explicit}
    return merged, [name for name in found if name not in KNOWN_LABELS]


def _text(body: dict[str, Any]) -> str:
    value = body.get("infotext")
    try:
        return string(value) if value is not None else ""
    except Invalid as error:
        raise Unprocessable([error.at(("body", "infotext"))]) from None


def _fields(pairs: Pairs, operation: str) -> dict[str, Any]:
    names = FIELDS | (TXT2IMG_FIELDS if operation == "txt2img" else IMG2IMG_FIELDS)
    fields = {field: pairs[label] for label, field in names.items() if label in pairs}
    if "Face restoration" in pairs:
        fields["restore_faces"] = True
    if operation == "txt2img":
        hires = {"Hires upscale", "Hires upscaler"} & pairs.keys() or pairs["Hires resize-1"]
        return fields | {"enable_hr": bool("Denoising strength" in pairs and hires)}
    return fields | {
        "inpainting_mask_invert": int(pairs["Mask mode"] == "Inpaint not masked"),
        "inpaint_full_res": pairs["Inpaint area"] == "Only masked",
        **({"inpainting_fill": CONTENTS.index(pairs["Masked content"])} if _has_known_content(pairs) else {}),
    }


def _has_known_content(pairs: Pairs) -> bool:
    return pairs["Masked content"] in CONTENTS


def _sampler_fields(found: Pairs) -> dict[str, Any]:
    """Sampler fields. Older texts append the schedule to the sampler; a missing type is not "Automatic"."""
    if "Sampler" not in found:
        return {}
    if not sampler_catalog.understands_sampler(found["Sampler"]):  # reported like any other unknown name
        return {"sampler_name": found["Sampler"], "scheduler": found.get("Schedule type", "Automatic")}
    sampler, scheduler = sampler_catalog.resolve(found["Sampler"], found.get("Schedule type", ""))
    return {"sampler_name": sampler, "scheduler": scheduler}


def _overrides(pairs: Pairs, found: Pairs, current: dict[str, Any]) -> dict[str, Any]:
    settings = {option: pairs[label] for label, option in OVERRIDES.items() if label in pairs}
    if "Model hash" in found and not current["disable_weights_auto_swap"]:
        settings[options.CHECKPOINT] = found["Model hash"]
    return settings


def _is_same_value(current: Any, value: Any) -> bool:
    if str(current) == str(value):
        return True
    try:
        return float(current) == float(value)
    except (TypeError, ValueError):
        return False
