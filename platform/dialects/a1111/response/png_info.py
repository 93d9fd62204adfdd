"""``/png-info``: read the generation parameters from an image's metadata."""

from __future__ import annotations

import json
import warnings
from typing import Any

from PIL import Image
from PIL.ExifTags import IFD, Base

from access.models import AccessKey, BusinessSource
from dialects.a1111.errors import Unprocessable
from dialects.a1111.request.image_urls import with_fetched_images
from dialects.a1111.schema import images
from dialects.a1111.schema.coercion import string
from dialects.a1111.schema.fields import Field, parse
from dialects.a1111.schema.infotext_parser import parse_infotext, with_implied_values
from jobs.images.input_files import opened
from models_registry.models import PromptStyle
from models_registry.selectors import styles_for

FIELDS = {"image": Field(string, nullable=False)}
TECHNICAL = frozenset(
    {
        "jfif",
        "jfif_version",
        "jfif_unit",
        "jfif_density",
        "dpi",
        "exif",
        "loop",
        "background",
        "timestamp",
        "duration",
    }
    | {"progressive", "progression", "icc_profile", "chromaticity", "photoshop", "transparency", "interlace"}
)
ENCODINGS = {b"UNICODE\0": "utf-16-be", b"ASCII\0\0\0": "ascii", b"\0\0\0\0\0\0\0\0": "utf-8"}
PLACEHOLDER = "{prompt}"
# NovelAI sampler names to A1111 sampler names.
SAMPLERS = {
    "k_euler_ancestral": "Euler a",
    "k_euler": "Euler",
    "k_lms": "LMS",
    "k_heun": "Heun",
    "k_dpm_2": "DPM2",
    "k_dpm_2_ancestral": "DPM2 a",
    "ddim": "DDIM",
    "plms": "PLMS",
    "nai_smea": "Euler a",
    "nai_smea_dyn": "Euler a",
}


def png_info(key: AccessKey, body: dict[str, Any]) -> dict[str, Any]:
    """Response body of png-info. Raises Unprocessable or WireError."""
    if "image" not in body:
        raise Unprocessable.at(("body", "image"), "field required", "value_error.missing")
    image = parse(FIELDS, with_fetched_images({"image": body["image"]}, key.source))["image"]
    text, items = _read_metadata(images.decode(image.strip(), "image"))
    return {"info": text, "items": items, "parameters": parameters(text, key.source)}


def parameters(text: str, source: BusinessSource) -> dict[str, Any]:
    pairs = with_implied_values(parse_infotext(text))
    prompt, negative, styles = without_styles(pairs["Prompt"], pairs["Negative prompt"], source)
    if not styles:
        return pairs
    return pairs | {"Prompt": prompt, "Negative prompt": negative, "Styles array": styles}


def _read_metadata(data: bytes) -> tuple[str, dict[str, Any]]:
    with warnings.catch_warnings(), opened(data) as image:
        warnings.simplefilter("ignore")
        raw = dict(image.info)
        comment = _exif_comment(image)
    text = raw.pop("parameters", "")
    items = {str(name): value for name, value in raw.items() if name not in TECHNICAL and _is_plain(value)}
    if comment:
        text, items["exif comment"] = comment, comment
    if not text and isinstance(raw.get("comment"), bytes):  # GIF comment
        text = raw["comment"].decode("utf8", errors="replace")
    if items.get("Software") == "NovelAI":
        text = _from_novelai(items) or text
    return (text if isinstance(text, str) else ""), items


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _exif_comment(image: Image.Image) -> str:
    try:
        raw = image.getexif().get_ifd(IFD.Exif).get(Base.UserComment)
    except (ValueError, TypeError, KeyError, OSError, SyntaxError):  # invalid EXIF data is ignored
        return ""
    if isinstance(raw, str):
        return raw
    if not isinstance(raw, bytes):
        return ""
    encoding = ENCODINGS.get(raw[:8])
    return raw[8:].decode(encoding, errors="replace") if encoding else raw.decode("utf8", errors="replace")


def _from_novelai(items: dict[str, Any]) -> str:
    try:
        settings = json.loads(items["Comment"])
        sampler = SAMPLERS.get(settings["sampler"], "Euler a")
        size = f"{int(settings['width'])}x{int(settings['height'])}"
        line = (
            f"Steps: {int(settings['steps'])}, Sampler: {sampler}, CFG scale: {float(settings['scale'])}, "
            f"Seed: {int(settings['seed'])}, Size: {size}, Clip skip: 2, ENSD: 31337"
        )
        return f"{items['Description']}\nNegative prompt: {settings['uc']}\n{line}"
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return ""


def without_styles(prompt: str, negative: str, source: BusinessSource) -> tuple[str, str, list[str]]:
    """Remove the texts of the source's styles from the prompts.

    Returns both prompts and the names of the removed styles, in the order in which they were applied.
    """
    styles, found = list(styles_for(source)), []
    while style := next((style for style in styles if _contains_style(style, prompt, negative)), None):
        prompt, negative = (
            _without_style(style.prompt, prompt),
            _without_style(style.negative_prompt, negative),
        )
        styles.remove(style)
        found.append(style.name)
    return prompt, negative, found[::-1]


def _contains_style(style: PromptStyle, prompt: str, negative: str) -> bool:
    if not style.prompt and not style.negative_prompt:
        return False
    pairs = ((style.prompt, prompt), (style.negative_prompt, negative))
    return all(_without_style(text, prompt_text) is not None for text, prompt_text in pairs)


def _without_style(style: str, prompt_text: str) -> Any:
    """Return the prompt without the style's text, or None if it does not contain the style."""
    if not style:
        return prompt_text
    before, placeholder, after = style.partition(PLACEHOLDER)
    if placeholder:
        is_inside = (
            prompt_text.startswith(before)
            and prompt_text.endswith(after)
            and len(prompt_text) >= len(before) + len(after)
        )
        return prompt_text[len(before) : len(prompt_text) - len(after)] if is_inside else None
    if prompt_text == style:
        return ""
    return prompt_text.removesuffix(f", {style}") if prompt_text.endswith(f", {style}") else None
