"""``/png-info``: what is written in a picture about how it was drawn."""

from __future__ import annotations

import io
import json
import warnings
from typing import Any

from PIL import Image
from PIL.ExifTags import IFD, Base

from access.models import AccessKey, BusinessSource
from dialects.a1111.errors import Unprocessable
from dialects.a1111.request.image_urls import followed
from dialects.a1111.schema import images
from dialects.a1111.schema.coercion import string
from dialects.a1111.schema.fields import Field, parse
from dialects.a1111.schema.infotext_parser import said, with_the_unsaid
from jobs.errors import InvalidImage
from jobs.images.storage import check_picture
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
PLACE = "{prompt}"
# NovelAI's names of samplers.
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
    """The answer. Raises Unprocessable or WireError."""
    if "image" not in body:
        raise Unprocessable.at(("body", "image"), "field required", "value_error.missing")
    image = parse(FIELDS, followed({"image": body["image"]}, key.source))["image"]
    data = images.decode(image.strip())
    try:
        check_picture(data)
    except InvalidImage:
        raise images.invalid_picture() from None
    text, items = _written(data)
    return {"info": text, "items": items, "parameters": parameters(text, key.source)}


def parameters(text: str, source: BusinessSource) -> dict[str, Any]:
    pairs = with_the_unsaid(said(text))
    prompt, negative, styles = without_styles(pairs["Prompt"], pairs["Negative prompt"], source)
    if not styles:
        return pairs
    return pairs | {"Prompt": prompt, "Negative prompt": negative, "Styles array": styles}


def _written(data: bytes) -> tuple[str, dict[str, Any]]:
    with warnings.catch_warnings(), Image.open(io.BytesIO(data)) as picture:
        warnings.simplefilter("ignore")
        raw = dict(picture.info)
        comment = _comment(picture)
    text = raw.pop("parameters", "")
    items = {str(name): value for name, value in raw.items() if name not in TECHNICAL and _is_plain(value)}
    if comment:
        text, items["exif comment"] = comment, comment
    if not text and isinstance(raw.get("comment"), bytes):  # a GIF's
        text = raw["comment"].decode("utf8", errors="replace")
    if items.get("Software") == "NovelAI":
        text = _from_novelai(items) or text
    return (text if isinstance(text, str) else ""), items


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _comment(picture: Image.Image) -> str:
    try:
        raw = picture.getexif().get_ifd(IFD.Exif).get(Base.UserComment)
    except (ValueError, TypeError, KeyError, OSError, SyntaxError):  # what is no EXIF says nothing
        return ""
    if isinstance(raw, str):
        return raw
    if not isinstance(raw, bytes):
        return ""
    encoding = ENCODINGS.get(raw[:8])
    return raw[8:].decode(encoding, errors="replace") if encoding else raw.decode("utf8", errors="replace")


def _from_novelai(items: dict[str, Any]) -> str:
    try:
        told = json.loads(items["Comment"])
        sampler = SAMPLERS.get(told["sampler"], "Euler a")
        size = f"{int(told['width'])}x{int(told['height'])}"
        line = (
            f"Steps: {int(told['steps'])}, Sampler: {sampler}, CFG scale: {float(told['scale'])}, "
            f"Seed: {int(told['seed'])}, Size: {size}, Clip skip: 2, ENSD: 31337"
        )
        return f"{items['Description']}\nNegative prompt: {told['uc']}\n{line}"
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return ""


def without_styles(prompt: str, negative: str, source: BusinessSource) -> tuple[str, str, list[str]]:
    """The prompts before their styles were put in, and the names of those styles, in the order they were put in."""
    styles, found = list(styles_for(source)), []
    while style := next((style for style in styles if _fits(style, prompt, negative)), None):
        prompt, negative = _taken_out(style.prompt, prompt), _taken_out(style.negative_prompt, negative)
        styles.remove(style)
        found.append(style.name)
    return prompt, negative, found[::-1]


def _fits(style: PromptStyle, prompt: str, negative: str) -> bool:
    if not style.prompt and not style.negative_prompt:
        return False
    both = ((style.prompt, prompt), (style.negative_prompt, negative))
    return all(_taken_out(text, words) is not None for text, words in both)


def _taken_out(style: str, words: str) -> Any:
    """The words without the style, or None where it is not in them."""
    if not style:
        return words
    before, place, after = style.partition(PLACE)
    if place:
        inside = words.startswith(before) and words.endswith(after) and len(words) >= len(before) + len(after)
        return words[len(before) : len(words) - len(after)] if inside else None
    if words == style:
        return ""
    return words.removesuffix(f", {style}") if words.endswith(f", {style}") else None
