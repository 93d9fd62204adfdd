"""Reads the generation parameters from an image file: PNG text chunks, EXIF comment, GIF comment, NovelAI's JSON."""

from __future__ import annotations

import json
import warnings
from typing import Any

from PIL import Image
from PIL.ExifTags import IFD, Base

from jobs.images.input_files import opened

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


def read_metadata(data: bytes) -> tuple[str, dict[str, Any]]:
    """The infotext (empty if there is none) and all texts of the file. Raises InvalidImage."""
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
