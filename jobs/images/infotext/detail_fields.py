"""Infotext fields of detail passes, as the extension ADetailer writes them."""

from __future__ import annotations

from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.request_parts.details import DetailPass, RegionPrompt

VERSION = "25.3.0"  # of the extension, whose fields these are
MERGES = {"merge": "Merge", "invert": "Merge and Invert"}
SEPARATOR, SKIP = " [SEP] ", "[SKIP]"
ORDINALS = {1: "st", 2: "nd", 3: "rd"}

Pairs = dict[str, object]


def detail_parameters(request: GenerationRequest) -> Pairs:
    """Fields of all passes, those of the second one with the suffix " 2nd"; None values are not written."""
    pairs: Pairs = {}
    for number, part in enumerate(request.detail_passes, 1):
        suffix = "" if number == 1 else f" {number}{ORDINALS.get(number, 'th')}"
        pairs |= {f"ADetailer {name}{suffix}": value for name, value in _fields(part).items()}
    return pairs | {"ADetailer version": VERSION} if pairs else {}


def _fields(part: DetailPass) -> Pairs:
    return {
        "model": part.label or part.detector,
        "model classes": ", ".join(part.classes) or None,
        "prompt": _prompts(part.regions),
        "negative prompt": _negative_prompts(part.regions),
        "confidence": part.confidence,
        **_selection(part),
        "mask min ratio": part.min_share or None,
        "mask max ratio": part.max_share if part.max_share < 1 else None,
        "x offset": part.offset_x or None,
        "y offset": part.offset_y or None,
        "dilate erode": part.dilation,
        "mask merge invert": MERGES.get(part.merge),
        "mask blur": int(part.mask_blur) if part.mask_blur == int(part.mask_blur) else part.mask_blur,
        "denoising strength": part.strength,
        "inpaint only masked": part.only_masked,
        "inpaint padding": part.padding if part.only_masked else None,
        **_separate("use inpaint width height", {"inpaint width": part.width, "inpaint height": part.height}),
        **_separate("use separate steps", {"steps": part.num_inference_steps or None}),
        **_separate("use separate CFG scale", {"CFG scale": part.guidance_scale}),
        **_separate("use separate checkpoint", {"checkpoint": part.checkpoint or None}),
        **_separate("use separate VAE", {"VAE": "Automatic" if part.vae == "" else part.vae}),
        **_separate(
            "use separate sampler", {"sampler": part.sampler or None, "scheduler": part.scheduler or None}
        ),
        **_separate(
            "use separate noise multiplier",
            {"noise multiplier": part.noise_multiplier if part.noise_multiplier != 1 else None},
        ),
        **_separate("use separate CLIP skip", {"CLIP skip": part.clip_skip or None}),
        "restore face": True if part.face_restoration else None,
        **_controlnet(part),
    }


def _separate(switch: str, values: Pairs) -> Pairs:
    """A switch of the extension and the values that it stands before; nothing if all of them are None."""
    return {switch: True} | values if any(value is not None for value in values.values()) else {}


def _selection(part: DetailPass) -> Pairs:
    if part.order == "confidence" and part.max_regions == DetailPass.model_fields["max_regions"].default:
        return {}
    return {"method to decide top k masks": part.order.capitalize(), "mask only top k": part.max_regions}


def _prompts(regions: tuple[RegionPrompt, ...]) -> str | None:
    return _joined([SKIP if region.skip else region.prompt for region in regions])


def _negative_prompts(regions: tuple[RegionPrompt, ...]) -> str | None:
    return _joined([region.negative_prompt for region in regions])


def _joined(texts: list[str]) -> str | None:
    """Prompts of all regions; one prompt if all are equal, None if all are empty."""
    if not any(texts):
        return None
    return texts[0] if len(set(texts)) == 1 else SEPARATOR.join(texts)


def _controlnet(part: DetailPass) -> Pairs:
    """The extension has one unit per pass."""
    if not part.controls:
        return {}
    unit = part.controls[0]
    return {
        "ControlNet model": unit.model,
        "ControlNet module": unit.module if unit.module != "none" else None,
        "ControlNet weight": unit.weight if unit.weight != 1 else None,
        "ControlNet guidance start": unit.guidance_start or None,
        "ControlNet guidance end": unit.guidance_end if unit.guidance_end < 1 else None,
    }
